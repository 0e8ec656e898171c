"""One template rendered by a child process, watched from outside."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from domain.errors import InvalidBody, Overloaded
from domain.templates import BODY_MAX_BYTES, Template

CPU_S: Final = 1.0
WALL_S: Final = 6.0
MEMORY_BYTES: Final = 48_000_000
"""On top of what the child holds when it has loaded its libraries; a body and its facts take a few of these."""
AT_ONCE: Final = 2
WAIT_S: Final = 3.0
TOO_LONG: Final = f"it computed for more than {CPU_S:g} s"
_CHUNK: Final = "import sys; sys.path += sys.argv[1:]; import child; child.main()"
_places = threading.BoundedSemaphore(AT_ONCE)

Facts = Mapping[str, Any]


def render(template: Template, facts: Sequence[Facts]) -> list[str]:
    """What the template makes of each of these facts. Raises Overloaded when others take long, and InvalidBody with
    `errors` that name the line, 0 when there is none, and what is wrong there.

    Blocks for WAIT_S + WALL_S at most; safe in any number of threads.
    """
    job = {
        "source": template.source,
        "escapes": template.escapes,
        "facts": facts,
        "limits": {"cpu_s": CPU_S, "memory_bytes": MEMORY_BYTES, "body_bytes": BODY_MAX_BYTES},
    }
    if not _places.acquire(timeout=WAIT_S):
        raise Overloaded("Other templates are being rendered just now", headers={"Retry-After": "5"})
    try:
        said = _run(json.dumps(job).encode())
    finally:
        _places.release()
    if "bodies" not in said:
        raise _broken(str(said.get("message", ""))[:300], int(said.get("line", 0)))
    return [str(body) for body in said["bodies"]]


def _run(job: bytes) -> Mapping[str, Any]:
    """The child's answer. Raises InvalidBody."""
    with tempfile.TemporaryFile() as answer:  # a file, as the child's limit on its size holds for no pipe
        command = [sys.executable, "-I", "-S", "-c", _CHUNK, str(Path(__file__).parent), *_libraries()]
        try:
            subprocess.run(  # noqa: S603  # our own program
                command,
                input=job,
                stdout=answer,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
                timeout=WALL_S,
                check=True,
            )
        except subprocess.TimeoutExpired:
            raise _broken(f"it took longer than {WALL_S:g} s") from None
        except subprocess.CalledProcessError as error:
            raise _broken(TOO_LONG if error.returncode < 0 else "it could not be rendered") from None
        answer.seek(0)
        said = answer.read(8 * BODY_MAX_BYTES + 1)
    try:
        found: Mapping[str, Any] = json.loads(said)
    except ValueError:
        raise _broken("it could not be rendered") from None
    return found


def _broken(message: str, line: int = 0) -> InvalidBody:
    where = f"Line {line} of the template" if line else "The template"
    return InvalidBody(f"{where}: {message}", errors=[{"line": line, "message": message}])


@cache
def _libraries() -> list[str]:
    """The folders of what the child imports beside the standard library."""
    origins = [spec.origin for name in ("jinja2", "markupsafe") if (spec := find_spec(name)) and spec.origin]
    return sorted({str(Path(origin).parent.parent) for origin in origins})
