"""How long ClickHouse takes to answer a process, counted."""

import threading
from collections import Counter
from collections.abc import Iterator

from domain import metering
from domain.metering import Family, Histogram

_SLOW_S = 1.0


class AnswerTimes:
    """How long ClickHouse took to answer this process, and how often it did not; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = Histogram()
        self._slow = 0
        self._failed: Counter[str] = Counter()

    def note(self, took_s: float, error: Exception | None) -> None:
        """One question, with what it failed for."""
        with self._lock:
            self._seconds.observe(took_s)
            self._slow += took_s >= _SLOW_S
            if error is not None:
                self._failed[type(error).__name__] += 1

    def families(self) -> Iterator[Family]:
        """As figures."""
        with self._lock:
            yield metering.histogram("metrist_clickhouse_seconds", "Statements sent to ClickHouse", self._seconds)
            yield metering.counter("metrist_clickhouse_slow", f"Of these, longer than {_SLOW_S:g} s", self._slow)
            yield metering.counters("metrist_clickhouse_failures", "Of these, failed", "error", dict(self._failed))
