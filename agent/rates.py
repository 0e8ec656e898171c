"""Counters that only grow, turned into rates."""

from collections.abc import Mapping


class Rates:
    """Remembers one reading of a set of counters, to compare the next one with."""

    def __init__(self) -> None:
        self._counters: dict[str, float] = {}
        self._at_s = 0.0

    def update(self, counters: Mapping[str, float], now_s: float) -> dict[str, float]:
        """How fast each counter grew since the last reading, per second.

        now_s   monotonic clock, seconds

        A counter that is new or fell (its device was reset) has no rate this time.
        """
        before, self._counters = self._counters, dict(counters)
        elapsed_s, self._at_s = now_s - self._at_s, now_s
        if elapsed_s <= 0:
            return {}
        return {
            name: (value - before[name]) / elapsed_s
            for name, value in counters.items()
            if name in before and value >= before[name]
        }
