"""Trouble with the server, told in one line when it begins and one when it ends."""

import logging
import time
from threading import Lock

log = logging.getLogger(__name__)


class Outage:
    """Shared by all that talk to the server: the first to fail speaks, the last to succeed ends it."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._lock = Lock()
        self._failing: set[str] = set()
        self._said: set[str] = set()
        self._since_s = 0.0

    def began(self, channel: str, kind: str, line: str) -> None:
        """A channel failed; the line is logged unless this outage had one of its kind."""
        with self._lock:
            if not self._failing:
                self._since_s = time.monotonic()
            self._failing.add(channel)
            if kind not in self._said:
                self._said.add(kind)
                log.warning("%s", line)

    def ended(self, channel: str) -> None:
        """A channel works."""
        with self._lock:
            if channel not in self._failing:
                return
            self._failing.remove(channel)
            if not self._failing:
                self._said.clear()
                log.info("%s works again after %s", self._server, spoken(time.monotonic() - self._since_s))


def spoken(seconds: float) -> str:
    """A duration in its two largest units, like `2 h 5 min`."""
    rest = round(seconds)
    words = []
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count} {unit}")
    return " ".join(words[:2]) or "0 s"
