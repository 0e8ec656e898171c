"""How long to wait before the server is asked again."""

import random
from datetime import UTC
from email.utils import parsedate_to_datetime

from agent.client import Reply, Unreachable
from agent.config import AgentConfig
from agent.outage import Outage

KEY_REFUSED = (401, 403)
ASKS_TO_WAIT = (429, 503, 507)
RETRY_AFTER_MIN_S, RETRY_AFTER_MAX_S = 1.0, 3600.0


class Retry:
    """One channel to the server: counts its failures and turns each into a pause."""

    def __init__(self, channel: str, config: AgentConfig, outage: Outage) -> None:
        self._channel = channel
        self._config = config
        self._outage = outage
        self._failures = 0

    @property
    def is_failing(self) -> bool:
        return self._failures > 0

    def succeeded(self) -> None:
        """The server answered as it should."""
        self._failures = 0
        self._outage.ended(self._channel)

    def unreachable(self, error: Unreachable) -> float:
        """Seconds to wait after no answer came."""
        return self._failed(f"{self._config.server} cannot be reached: {error}")

    def misunderstood(self, reply: Reply) -> float:
        """Seconds to wait after an answer that is not Metrist's."""
        return self._failed(f"{self._config.server} answered {reply.status}, but not as a Metrist server does")

    def refused(self, reply: Reply, now_s: float) -> float:
        """Seconds to wait after a status that may change by itself.

        now_s   wall clock, Unix seconds
        """
        server = self._config.server
        if reply.status in KEY_REFUSED:
            self._failures += 1
            line = f"the API key was refused by {server}: check METRIST_KEY ({reply.reason()}); snapshots are kept"
            self._outage.began(self._channel, "key", line)
            return self._config.key_retry_s * random.uniform(0.9, 1.1)  # noqa: S311
        pause_s = self._failed(f"{server} answered {reply.reason()}")
        asked_s = retry_after_s(reply.headers.get("retry-after"), now_s) if reply.status in ASKS_TO_WAIT else None
        # A little later than asked, never earlier, so that a fleet does not return in one instant.
        return pause_s if asked_s is None else asked_s + random.uniform(0, min(5.0, asked_s / 10))  # noqa: S311

    def _failed(self, line: str) -> float:
        self._failures += 1
        self._outage.began(self._channel, "trouble", f"{line}; snapshots are kept and sent later")
        return back_off_s(self._failures, self._config.back_off_s)


def back_off_s(failures: int, limit_s: float) -> float:
    """A pause after so many failures in a row: full jitter below 2, 4, 8 … s, and below the limit."""
    return random.uniform(0, min(limit_s, 2.0 ** min(failures, 30)))  # noqa: S311


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds from a Retry-After header (a number or an HTTP date), from 1 s to an hour; None if there is none to read.

    now_s   wall clock, Unix seconds
    """
    if header is None:
        return None
    try:
        asked_s = float(header) if header.strip().isdecimal() else _instant_s(header) - now_s
    except (ValueError, OverflowError):
        return None
    return min(max(asked_s, RETRY_AFTER_MIN_S), RETRY_AFTER_MAX_S)


def _instant_s(http_date: str) -> float:
    instant = parsedate_to_datetime(http_date)
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()
