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
        cause = type(error).__name__
        if times := self.due(event, cause):
            log.warning(event, error=cause, times=times)

    def due(self, event: str, cause: str) -> int:
        """Count a trouble; how often it has come, when it is time to log it again, else 0."""
        trouble = event, cause
        self.counts[trouble] += 1
        now_s = time.monotonic()
        if now_s - self._logged_at.get(trouble, -EVERY_S) < EVERY_S:
            return 0
        self._logged_at[trouble] = now_s
        return self.counts[trouble]
