"""Silences: what is not to be told for a while, once or each week (then they are called maintenance windows)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from uuid import UUID

from domain.errors import InvalidBody
from domain.matchers import Matcher
from domain.query import parse_matcher
from domain.windows import Weekly

LONGEST = timedelta(days=366)
MATCHERS_MAX = 20
NOTE_MAX = 200


@dataclass(frozen=True, slots=True)
class Silence:
    """What it matches, and when.

    match    texts of matchers, all of which must hold; none match everything
    ends_at  None: a weekly one that goes on until somebody ends it
    weekly   within [starts_at, ends_at) only these stretches; None: all of it
    """

    id: UUID
    match: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime | None
    weekly: Weekly | None = None
    note: str = field(default="", compare=False)

    def covers(self, labels: Mapping[str, str]) -> bool:
        """Whether what has these labels is meant."""
        return all(matcher.holds(labels) for matcher in matchers(self.match))

    def until(self, now: datetime) -> datetime | None:
        """Till when it holds what it matches; None when it does not just now."""
        if now < self.starts_at or (self.ends_at is not None and now >= self.ends_at):
            return None
        end = self.weekly.until(now) if self.weekly else self.ends_at
        return min(end, self.ends_at) if end and self.ends_at else end

    def is_over(self, now: datetime) -> bool:
        """Whether it will never hold anything again."""
        return self.ends_at is not None and now >= self.ends_at


def holding(silences: Iterable[Silence], labels: Mapping[str, str], now: datetime) -> tuple[Silence, datetime] | None:
    """Of the silences that hold this now the one that holds it longest, and till when."""
    found = [(silence, end) for silence in silences if (end := silence.until(now)) and silence.covers(labels)]
    return max(found, key=lambda one: one[1], default=None)


@lru_cache(1_000)
def matchers(texts: tuple[str, ...]) -> tuple[Matcher, ...]:
    """The matchers that these texts say. Raises InvalidQuery."""
    return tuple(parse_matcher(text) for text in texts)


def parse_match(text: str) -> list[str]:
    """Matchers typed one a line, or with commas between them. Raises InvalidBody, InvalidQuery."""
    texts = [part.strip() for line in text.splitlines() for part in _split(line) if part.strip()]
    if len(texts) > MATCHERS_MAX:
        raise InvalidBody(f"There are {len(texts)} matchers; at most {MATCHERS_MAX} are read")
    matchers(tuple(texts))
    return texts


def check_times(starts_at: datetime, ends_at: datetime | None, weekly: Weekly | None, now: datetime) -> None:
    """Raises InvalidBody unless it will hold something one day, and ends in time."""
    if ends_at is None:
        if weekly is None:
            raise InvalidBody("Say when the silence ends")
        return
    if ends_at <= max(starts_at, now):
        raise InvalidBody("The silence would be over before it begins")
    if weekly is None and ends_at - starts_at > LONGEST:
        raise InvalidBody(f"A silence lasts {LONGEST.days} days at most; better pause the condition")


def clean_note(text: str) -> str:
    """One line."""
    return " ".join(text.split())[:NOTE_MAX]


def _split(line: str) -> Sequence[str]:
    """At commas outside quotes."""
    parts, quoted, escaped = [""], False, False
    for letter in line:
        if letter == '"' and not escaped:
            quoted = not quoted
        if letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
        escaped = letter == "\\" and not escaped
    return parts
