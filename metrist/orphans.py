"""Pid files, and what is left of a `metrist up` that was killed."""

import contextlib
import os
import signal
from pathlib import Path

import psutil

GONE_WITHIN_S = 5.0


def record(path: Path, pid: int) -> None:
    """Write who runs: its pid and, on the second line, when it started, since the kernel gives pids out again.

    A full disk must not stop the supervisor that writes here; where the kernel ties children to us, nobody misses it.
    """
    with contextlib.suppress(psutil.NoSuchProcess, OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{pid}\n{psutil.Process(pid).create_time()}\n")


def forget(path: Path) -> None:
    """Remove the pid file of a process that has ended."""
    path.unlink(missing_ok=True)


def end_orphans(run_dir: Path) -> list[str]:
    """Kill what a killed `metrist up` left running, and wait until it is gone; returns the names.

    Needed where the kernel cannot tie a child to its parent (see `metrist.tether`); a no-op elsewhere.
    """
    found = {path: _still_running(path) for path in sorted(run_dir.glob("*.pid"))}
    left = [process for process in found.values() if process]
    for process in left:
        kill_group(process.pid)
    psutil.wait_procs(left, timeout=GONE_WITHIN_S)
    for path in found:
        forget(path)
    return [path.stem for path, process in found.items() if process]


def kill_group(pid: int) -> None:
    """Kill a child and all it has started; each child leads a session of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _still_running(path: Path) -> psutil.Process | None:
    try:
        pid, started_at = path.read_text().split()
        process = psutil.Process(int(pid))
        is_same = abs(process.create_time() - float(started_at)) < 1 and os.getpgid(process.pid) == process.pid
    except (OSError, ValueError, psutil.Error):
        return None
    return process if is_same else None
