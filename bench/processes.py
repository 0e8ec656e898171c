"""What a process and all it started cost, by the operating system's account."""

import contextlib
import time
from collections.abc import Iterator

import psutil


class Family:
    """A process and its descendants; processes that ended keep their CPU in the sum of their parents' children time."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)

    def members(self) -> Iterator[psutil.Process]:
        yield self._root
        yield from self._root.children(recursive=True)

    def cpu_s(self) -> float:
        """User and system seconds of all members so far."""
        total = 0.0
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def cpu_by_piece_s(self) -> dict[str, float]:
        """User and system seconds of every member so far, by command."""
        found: dict[str, float] = {}
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                found[_piece(process)] = times.user + times.system
        return found

    def rss_mb(self) -> dict[str, float]:
        """Resident MB by command, and of all as "total"."""
        found: dict[str, float] = {}
        for process in self.members():
            with contextlib.suppress(psutil.NoSuchProcess):
                found[_piece(process)] = process.memory_info().rss / 1e6
        found["total"] = sum(found.values())
        return found


def _piece(process: psutil.Process) -> str:
    """The command of Metrist that a process runs, or the program's name."""
    words = process.cmdline()
    after = words.index("metrist") + 1 if "metrist" in words else 0
    return words[after] if 0 < after < len(words) else f"{process.name()} {process.pid}"


def quiet_cpu(family: Family, *, below_share: float = 0.05, timeout_s: float = 60) -> float:
    """Wait until the family is idle (merges done) and return its CPU seconds."""
    deadline = time.monotonic() + timeout_s
    before = family.cpu_s()
    while time.monotonic() < deadline:
        time.sleep(1.0)
        after = family.cpu_s()
        if after - before < below_share:
            return after
        before = after
    return before
