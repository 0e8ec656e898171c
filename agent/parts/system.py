"""The system as a whole: load, processes, open files, uptime."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil

from agent.keys import key
from agent.parts import Metrics

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "blocked",
    "I": "idle",
    "Z": "zombie",
    "T": "stopped",
    "t": "stopped",
}
OPEN_FILES = Path("/proc/sys/fs/file-nr")


def read_load(_now_s: float) -> Metrics:
    """`load.1m`, `load.5m`, `load.15m`: runnable processes, averaged."""
    return dict(zip(("load.1m", "load.5m", "load.15m"), os.getloadavg(), strict=True))


def read_processes(_now_s: float) -> Metrics:
    """`process.count`, without label for all and with `state` for some, and `process.threads`."""
    counts = Counter(dict.fromkeys(STATES.values(), 0))
    threads = 0
    for stat in _stats():
        # pid (name) state ...: a name may hold spaces and brackets; proc(5)
        fields = stat[stat.rindex(")") + 2 :].split(maxsplit=18)
        counts[STATES.get(fields[0], "other")] += 1
        threads += int(fields[17])
    return {
        "process.count": counts.total(),
        "process.threads": threads,
        **{key("process.count", state=state): count for state, count in counts.items()},
    }


def _stats() -> Iterator[str]:
    # Read directly: psutil opens several files a process and takes ten times as long.
    with os.scandir("/proc") as entries:
        pids = [entry.name for entry in entries if entry.name.isdecimal()]
    for pid in pids:
        try:
            yield Path("/proc", pid, "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError, PermissionError):  # ended since, or hidden
            continue


def read_open_files(_now_s: float) -> Metrics:
    """`system.open_files`: file descriptions open in the whole system."""
    return {"system.open_files": int(OPEN_FILES.read_text().split()[0])}


def read_uptime(_now_s: float) -> Metrics:
    """`system.uptime_seconds`, with the time the machine slept."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return {"system.uptime_seconds": time.clock_gettime(time.CLOCK_BOOTTIME)}
    return {"system.uptime_seconds": time.time() - psutil.boot_time()}
