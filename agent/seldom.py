"""Log lines that would come with every snapshot, said seldom instead."""

import logging
import math
import time

log = logging.getLogger(__name__)


class Seldom:
    """Warns once per key and period, and says how often it held its tongue."""

    def __init__(self, period_s: float = 3600.0) -> None:
        self._period_s = period_s
        self._said_at_s: dict[str, float] = {}
        self._held_back: dict[str, int] = {}

    def warn(self, key: str, line: str) -> None:
        """Log the line, unless its key's last one is younger than the period."""
        now_s = time.monotonic()
        if now_s - self._said_at_s.get(key, -math.inf) < self._period_s:
            self._held_back[key] = self._held_back.get(key, 0) + 1
            return
        self._said_at_s[key] = now_s
        held_back = self._held_back.pop(key, 0)
        log.warning("%s", f"{line} (and {held_back} times before)" if held_back else line)
