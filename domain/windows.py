"""Stretches of time that come again each week by some place's clock: maintenance windows, quiet hours."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

from domain.errors import InvalidBody

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
LONGEST = timedelta(days=7)
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Weekly:
    """On these days, from this time by that clock, for so long.

    days   0 is Monday; the day on which it begins
    begins  by the wall clock of the zone. Where the clock leaps over it, it begins an hour later by that clock, and
            where the hour comes twice, in the first of them
    lasts   by a stopwatch, whatever the clocks do meanwhile
    """

    days: tuple[int, ...]
    begins: time
    lasts: timedelta
    zone: str

    def until(self, now: datetime) -> datetime | None:
        """When the stretch that `now` lies in ends; None outside. Of several the last to end."""
        ends = [end for start, end in self._around(now) if start <= now < end]
        return max(ends, default=None)

    def next_start(self, now: datetime) -> datetime:
        """When the first stretch after `now` begins."""
        return min(start for start, _ in self._around(now) if start > now)

    def _around(self, now: datetime) -> Iterator[tuple[datetime, datetime]]:
        """Every stretch that may hold `now`, and those of the week ahead; days are those of the zone."""
        today = now.astimezone(_zone(self.zone)).date()
        for away in range(-8, 10):
            day = today + away * _DAY
            if day.weekday() in self.days:
                start = self._start(day)
                yield start, start + self.lasts

    def _start(self, day: date) -> datetime:
        return datetime.combine(day, self.begins, _zone(self.zone)).astimezone(UTC)


def weekly_of(value: Mapping[str, Any]) -> Weekly:
    """As `as_json` wrote it."""
    hour, minute = value["begins"].split(":")
    lasts = timedelta(minutes=value["lasts_min"])
    return Weekly(tuple(value["days"]), time(int(hour), int(minute)), lasts, value["zone"])


def as_json(weekly: Weekly) -> dict[str, Any]:
    """Plain values."""
    return {
        "days": list(weekly.days),
        "begins": f"{weekly.begins:%H:%M}",
        "lasts_min": weekly.lasts // timedelta(minutes=1),
        "zone": weekly.zone,
    }


def parse(days: Sequence[str], begins: str, ends: str, zone: str) -> Weekly:
    """What somebody has chosen; one that ends before it begins ends the day after. Raises InvalidBody."""
    chosen = tuple(n for n, day in enumerate(DAYS) if day in days)
    if not chosen:
        raise InvalidBody("Choose at least one day of the week")
    start, end = (_clock(text) for text in (begins, ends))
    lasts = timedelta(hours=end.hour - start.hour, minutes=end.minute - start.minute)
    return Weekly(chosen, start, lasts if lasts > timedelta() else lasts + _DAY, check_zone(zone))


def check_zone(name: str) -> str:
    """A time zone as the world names it; raises InvalidBody."""
    try:
        _zone(name)
    except (ValueError, OSError):
        raise InvalidBody(f"“{name[:60]}” is no time zone; write one like Europe/Berlin or UTC") from None
    return name


def described(weekly: Weekly) -> str:
    """For people: `Mon to Fri 22:00 to 06:00, Europe/Berlin`."""
    end = datetime.combine(date(2001, 1, 1), weekly.begins) + weekly.lasts
    return f"{_days(weekly.days)} {weekly.begins:%H:%M} to {end:%H:%M}, {weekly.zone}"


def _days(days: Sequence[int]) -> str:
    if len(days) == len(DAYS):
        return "every day"
    is_run = len(days) > 2 and list(days) == list(range(days[0], days[-1] + 1))
    return f"{DAYS[days[0]]} to {DAYS[days[-1]]}" if is_run else ", ".join(DAYS[day] for day in days)


def _clock(text: str) -> time:
    found = _CLOCK.fullmatch(text.strip())
    if not found:
        raise InvalidBody(f"“{text[:20]}” is no time of day; write one like 22:00")
    return time(int(found[1]), int(found[2]))


@cache
def _zone(name: str) -> ZoneInfo:
    """Raises ValueError or OSError, ZoneInfoNotFoundError is both a KeyError and one we turn into the first."""
    try:
        return ZoneInfo(name)
    except KeyError as error:
        raise ValueError(name) from error
