"""What a background process has done since it started; counted from any of its threads."""

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Final

from domain import metering
from domain.metering import Family, Histogram, Point

_JOB_S: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)


class Tally:
    """Jobs, what the clock woke, and messages to channels."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ended: Counter[tuple[str, str]] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._tried: Counter[tuple[str, str]] = Counter()
        self._late_s: dict[str, float] = {}

    def ended(self, name: str, took_s: float, *, has_failed: bool) -> None:
        """A job, or what the clock woke, is over."""
        with self._lock:
            self._ended[name, "failed" if has_failed else "done"] += 1
            if name not in self._seconds:
                self._seconds[name] = Histogram(_JOB_S)
            self._seconds[name].observe(took_s)

    def tried(self, kind: str, result: str) -> None:
        """A message was tried: by "webhook" or "email", and it was "sent", "refused" or reached nobody ("failed")."""
        with self._lock:
            self._tried[kind, result] += 1

    def late(self, what: str, late_s: float) -> None:
        """How far behind something is now."""
        with self._lock:
            self._late_s[what] = late_s

    def families(self) -> Iterator[Family]:
        """As figures."""
        with self._lock:
            ended = tuple(Point(count, {"job": job, "result": how}) for (job, how), count in self._ended.items())
            took = tuple(one for job, found in self._seconds.items() for one in found.points({"job": job}))
            tried = tuple(Point(count, {"kind": kind, "result": how}) for (kind, how), count in self._tried.items())
            late_s = dict(self._late_s)
        yield Family("metrist_jobs", "counter", "Jobs, and what the clock woke, that ended", ended)
        yield Family("metrist_job_seconds", "histogram", "How long they took", took)
        yield Family("metrist_deliveries", "counter", "Messages to channels that were tried", tried)
        yield metering.gauges("metrist_behind_seconds", "How far what goes by the clock is behind", "what", late_s)
