"""At which instants conditions are judged: multiples of their `every_s` in Unix time, the same whoever judges.

An instant is judged LAG_S after it, when what was sent by then can be read. Who was stopped judges the instants it has
missed, one by one, as if it had been there; only what is older than LONGEST_S is passed over.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from domain.liveness import Hearing

LAG_S: Final = 1.5
"""A sample is inserted a second after it came, at the latest; the rest is for its way here. What comes later is seen by
the next instants, as long as the window is longer than the pause between them."""
LONGEST_S: Final = 6 * 3_600
AT_ONCE: Final = 60
"""Instants that are judged before what they gave is recorded."""
_SIGN_SLACK_MS: Final = 5_000


def floor(now: datetime, every_s: int) -> datetime:
    """The last instant of the grid that is not after `now`."""
    return datetime.fromtimestamp(int(now.timestamp()) // every_s * every_s, UTC)


def due_at(evaluated_to: datetime, every_s: int) -> datetime:
    """When the instant after the last judged one can be judged."""
    return floor(evaluated_to, every_s) + timedelta(seconds=every_s + LAG_S)


def instants(evaluated_to: datetime, every_s: int, now: datetime) -> list[datetime]:
    """The instants after the last judged one that can be judged now, the oldest first; AT_ONCE at most."""
    begin = max(evaluated_to, now - timedelta(seconds=LONGEST_S))
    at = floor(begin, every_s) + timedelta(seconds=every_s)
    latest = now - timedelta(seconds=LAG_S)
    found: list[datetime] = []
    while at <= latest and len(found) < AT_ONCE:
        found.append(at)
        at += timedelta(seconds=every_s)
    return found


def could_hear(hearing: Hearing | None, since: datetime, until: datetime) -> bool:
    """Whether silence in [since, until) is theirs, and not ours: we took what was sent all the time."""
    if hearing is None:
        return False
    since_ms, until_ms = since.timestamp() * 1000, until.timestamp() * 1000
    if hearing.at_ms < until_ms - _SIGN_SLACK_MS:
        return False
    return not any(start < until_ms and end > since_ms for start, end in hearing.outages)


def is_minute(at: datetime, every_s: int) -> bool:
    """Whether this instant is the first of its minute; what is slow to change is looked at then."""
    return int(at.timestamp()) % 60 < every_s
