"""The instants that conditions are judged at: the same whoever asks, none twice, none left out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.condition_specs import EVERY_S
from domain.liveness import Hearing
from domain.ticks import AT_ONCE, LAG_S, LONGEST_S, could_hear, due_at, floor, instants, is_minute

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def ms(second: float) -> int:
    return int(at(second).timestamp() * 1000)


def test_the_instants_since_the_last_one_are_those_of_the_grid() -> None:
    assert instants(at(3), 10, at(30 + LAG_S)) == [at(10), at(20), at(30)]
    assert instants(at(0), 10, at(10 + LAG_S - 0.1)) == []
    assert instants(at(0), 10, at(10 + LAG_S)) == [at(10)]


def test_a_long_absence_is_made_up_for_in_parts_and_not_beyond_its_limit() -> None:
    assert len(instants(at(0), 2, at(3_600))) == AT_ONCE
    assert instants(at(-LONGEST_S * 2), 300, at(0))[0] == floor(at(-LONGEST_S), 300) + timedelta(seconds=300)


@given(st.sampled_from(EVERY_S), st.lists(st.floats(0.1, 400), max_size=30))
def test_whenever_one_looks_each_instant_is_judged_once_and_in_order(every_s: int, pauses: list[float]) -> None:
    judged, evaluated_to, now = [], NOON, NOON
    for pause in pauses:
        now += timedelta(seconds=pause)
        while found := instants(evaluated_to, every_s, now):
            judged += found
            evaluated_to = found[-1]
    whole = int((now - NOON).total_seconds() - LAG_S) // every_s if now - NOON >= timedelta(seconds=LAG_S) else 0
    assert judged == [at(every_s * (n + 1)) for n in range(whole)]
    assert not judged or due_at(evaluated_to, every_s) > now


@given(st.sampled_from(EVERY_S), st.floats(0, 10_000))
def test_what_is_due_has_an_instant_to_judge(every_s: int, second: float) -> None:
    assert instants(at(second), every_s, due_at(at(second), every_s))
    assert not instants(at(second), every_s, due_at(at(second), every_s) - timedelta(milliseconds=1))


@pytest.mark.parametrize(
    ("hearing", "could"),
    [
        (None, False),
        (Hearing(ms(60), ms(-100)), True),
        (Hearing(ms(50), ms(-100)), False),
        (Hearing(ms(60), ms(20), [(ms(10), ms(20))]), False),
        (Hearing(ms(60), ms(-50), [(ms(-70), ms(-50))]), True),
        (Hearing(ms(90), ms(70), [(ms(61), ms(70))]), True),
    ],
    ids=["nobody knows", "all the time", "not until the end", "an outage within", "one before", "one after"],
)
def test_silence_is_theirs_only_where_we_could_hear(hearing: Hearing | None, could: bool) -> None:
    assert could_hear(hearing, at(0), at(60)) == could


def test_once_a_minute() -> None:
    assert [second for second in range(0, 120, 15) if is_minute(at(second), 15)] == [0, 60]
    assert is_minute(at(300), 300)
