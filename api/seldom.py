"""Warnings that may come a thousand times a second: counted always, logged seldom."""

import time
from collections import Counter

import structlog

log = structlog.get_logger()
EVERY_S = 10.0


class Seldom:
    """Counts troubles by name and cause; each pair is logged at most every ten seconds, with its count until then."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self._logged_at: dict[tuple[str, str], float] = {}

    def warn(self, event: str, error: Exception) -> None:
        """Note a trouble; the error's type is its cause."""
        trouble = event, type(error).__name__
        self.counts[trouble] += 1
        now_s = time.monotonic()
        if now_s - self._logged_at.get(trouble, -EVERY_S) >= EVERY_S:
            self._logged_at[trouble] = now_s
            log.warning(event, error=trouble[1], times=self.counts[trouble])
