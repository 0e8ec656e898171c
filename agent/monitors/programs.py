"""Commands for monitors: those that this machine's owner has put into one folder, without arguments."""

import os
import re
import select
import signal
import stat
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.sandbox import Refused, Unable

OUTPUT_MAX_BYTES = 65_536
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
"""All that a command is told; the agent's own environment may hold its key."""
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def run(args: Mapping[str, Any], until_s: float, folder: Path | None) -> dict[str, Any]:
    """`code`, `output` (both streams, at most 64 kB), `truncated`, `took_ms`; it is killed when its time is over."""
    name = str(args["name"])
    path = _checked(name, folder)
    began_s = time.monotonic()
    until_s -= 0.1  # so that the monitor still hears of it
    with subprocess.Popen(  # noqa: S603  # a file that _checked has found to be its owner's
        [path],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    ) as process:
        try:
            data = _read(process, until_s)
            code = process.wait(max(0.0, until_s - time.monotonic())) if len(data) <= OUTPUT_MAX_BYTES else None
        except (TimeoutError, subprocess.TimeoutExpired) as error:
            raise Unable(f"{name} took too long") from error
        finally:
            if process.returncode is None:  # its number is still its own
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return {
        "code": code if code is not None else -signal.SIGKILL,
        "output": data[:OUTPUT_MAX_BYTES].decode(errors="replace"),
        "truncated": len(data) > OUTPUT_MAX_BYTES,
        "took_ms": 1000 * (time.monotonic() - began_s),
    }


def _checked(name: str, folder: Path | None) -> Path:
    """The command's file, which nobody but root and ourselves may change; raises Refused or Unable."""
    if folder is None or not NAME.fullmatch(name):
        raise Refused(f"{name[:60]!r} is no name of a command")
    path = folder / name
    try:
        found, around = path.lstat(), folder.stat()
    except OSError as error:
        raise Refused(f"there is no command {name} in {folder}") from error
    if not stat.S_ISREG(found.st_mode) or not os.access(path, os.X_OK):
        raise Refused(f"{path} is no executable file")
    for each in (found, around):
        if each.st_uid not in (0, os.geteuid()) or each.st_mode & WRITABLE_BY_OTHERS:
            raise Refused(f"{path} is not run: others than root and the agent's user may change it")
    return path


def _read(process: "subprocess.Popen[bytes]", until_s: float) -> bytes:
    """What it writes, to its end or to one byte more than is wanted; raises TimeoutError."""
    assert process.stdout is not None
    file, parts, size = process.stdout.fileno(), [b""], 0
    while size <= OUTPUT_MAX_BYTES:
        if not select.select([file], [], [], max(0.0, until_s - time.monotonic()))[0]:
            raise TimeoutError
        part = os.read(file, OUTPUT_MAX_BYTES + 1 - size)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b"".join(parts)
