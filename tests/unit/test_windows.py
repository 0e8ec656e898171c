"""Weekly stretches by the clock of a place, and silences made of them."""

from datetime import UTC, datetime, time, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import silences, windows
from domain.errors import InvalidBody, InvalidQuery
from domain.silences import Silence, holding
from domain.windows import Weekly

HOUR = timedelta(hours=1)
NIGHTS = windows.parse(["Mon", "Tue", "Wed", "Thu", "Fri"], "22:00", "06:00", "Europe/Berlin")
ZONES = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"])
WEEKLIES = st.builds(
    Weekly,
    st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
    st.times().map(lambda at: time(at.hour, at.minute)),
    st.integers(1, 24 * 60).map(lambda minutes: timedelta(minutes=minutes)),
    ZONES,
)
INSTANTS = st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def berlin(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo("Europe/Berlin"))  # type: ignore[arg-type,misc]


@pytest.mark.parametrize(
    ("now", "until"),
    [
        (berlin(2026, 7, 6, 21, 59), None),
        (berlin(2026, 7, 6, 22, 0), berlin(2026, 7, 7, 6, 0)),
        (berlin(2026, 7, 7, 5, 59), berlin(2026, 7, 7, 6, 0)),
        (berlin(2026, 7, 7, 6, 0), None),
        (berlin(2026, 7, 11, 3, 0), berlin(2026, 7, 11, 6, 0)),
        (berlin(2026, 7, 11, 23, 0), None),
    ],
    ids=["before", "begins", "lasts", "over", "Friday's, on Saturday", "Saturday has none"],
)
def test_a_window_holds_from_its_beginning_to_its_end(now: datetime, until: datetime | None) -> None:
    assert NIGHTS.until(now) == until


def test_a_window_lasts_as_long_when_clocks_change() -> None:
    """Berlin's clocks leap ahead on 2026-03-29 at 02:00; the night of Saturday is by a stopwatch as long as others."""
    saturday = windows.parse(["Sat"], "22:00", "06:00", "Europe/Berlin")
    assert saturday.until(berlin(2026, 3, 28, 23, 0)) == berlin(2026, 3, 28, 22, 0).astimezone(UTC) + 8 * HOUR


@given(WEEKLIES, INSTANTS)
def test_what_a_window_says_of_its_end_is_so(weekly: Weekly, now: datetime) -> None:
    end = weekly.until(now)
    if end is None:
        return
    assert now < end <= now + weekly.lasts
    assert weekly.until(end - timedelta(microseconds=1)) is not None


@given(WEEKLIES, INSTANTS)
def test_the_next_window_begins_within_a_week_and_holds(weekly: Weekly, now: datetime) -> None:
    start = weekly.next_start(now)
    assert now < start <= now + timedelta(days=7, hours=25)  # Apia once skipped a day
    assert weekly.until(start) is not None


@given(WEEKLIES)
def test_a_window_is_read_back_as_it_was_kept(weekly: Weekly) -> None:
    assert windows.weekly_of(windows.as_json(weekly)) == weekly


def test_windows_are_said_in_words() -> None:
    assert windows.described(NIGHTS) == "Mon to Fri 22:00 to 06:00, Europe/Berlin"
    assert windows.described(windows.parse(windows.DAYS, "00:00", "00:00", "UTC")) == "every day 00:00 to 00:00, UTC"
    assert windows.described(windows.parse(["Sun", "Wed"], "1:00".zfill(5), "02:30", "UTC")).startswith("Wed, Sun ")


@pytest.mark.parametrize(
    ("days", "begins", "ends", "zone", "detail"),
    [
        ([], "22:00", "06:00", "UTC", "at least one day"),
        (["Mon"], "24:00", "06:00", "UTC", "24:00"),
        (["Mon"], "22:00", "six", "UTC", "six"),
        (["Mon"], "22:00", "06:00", "Middle/Earth", "Middle/Earth"),
        (["Mon"], "22:00", "06:00", "../../etc/passwd", "time zone"),
        (["Mon"], "22:00", "06:00", "", "time zone"),
    ],
)
def test_what_is_no_window_is_refused(days: list[str], begins: str, ends: str, zone: str, detail: str) -> None:
    with pytest.raises(InvalidBody, match=detail):
        windows.parse(days, begins, ends, zone)


NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


def silence(*match: str, starts: float = -1, ends: float | None = 1, weekly: Weekly | None = None) -> Silence:
    """By hours from NOW."""
    return Silence(uuid4(), match, NOW + starts * HOUR, None if ends is None else NOW + ends * HOUR, weekly)


NOON = windows.parse(["Mon"], "11:00", "13:00", "UTC")


@pytest.mark.parametrize(
    ("one", "until_h"),
    [
        (silence(), 1),
        (silence(starts=0), 1),
        (silence(starts=0.1), None),
        (silence(ends=0), None),
        (silence(weekly=NOON, ends=None), 1),
        (silence(weekly=NOON, ends=0.5), 0.5),
        (silence(weekly=windows.parse(["Tue"], "11:00", "13:00", "UTC"), ends=None), None),
    ],
    ids=["now", "begins now", "later", "over now", "weekly", "weekly, the last time", "another day"],
)
def test_when_a_silence_holds(one: Silence, until_h: float | None) -> None:
    assert one.until(NOW) == (None if until_h is None else NOW + until_h * HOUR)


def test_of_silences_that_hold_the_longest_counts() -> None:
    short, long, other = silence("node=web-1"), silence("node=~web-.*", ends=3), silence("node=db", ends=9)
    assert holding([short, long, other], {"node": "web-1"}, NOW) == (long, NOW + 3 * HOUR)
    assert holding([short, long, other], {"node": "mail"}, NOW) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", []),
        ("node=web-1", ["node=web-1"]),
        ("node=web-1, severity!=critical\n env=~prod|stage ,", ["node=web-1", "severity!=critical", "env=~prod|stage"]),
        ('path="a, \\"b\\", c", x=1', ['path="a, \\"b\\", c"', "x=1"]),
    ],
)
def test_matchers_are_read_a_line_or_a_comma_each(text: str, match: list[str]) -> None:
    assert silences.parse_match(text) == match


@pytest.mark.parametrize("text", ["web-1", "node=~(", "node~web"])
def test_what_is_no_matcher_is_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        silences.parse_match(text)


@pytest.mark.parametrize(
    ("starts_h", "ends_h", "weekly", "is_fine"),
    [
        (0, 1, None, True),
        (-5, 1, None, True),
        (1, 1, None, False),
        (-5, -1, None, False),
        (0, None, None, False),
        (0, None, NOON, True),
        (0, 24 * 400, None, False),
        (0, 24 * 400, NOON, True),
    ],
)
def test_a_silence_must_end_and_not_be_over(
    starts_h: float, ends_h: float | None, weekly: Weekly | None, is_fine: bool
) -> None:
    ends_at = None if ends_h is None else NOW + ends_h * HOUR
    if is_fine:
        silences.check_times(NOW + starts_h * HOUR, ends_at, weekly, NOW)
        return
    with pytest.raises(InvalidBody):
        silences.check_times(NOW + starts_h * HOUR, ends_at, weekly, NOW)
