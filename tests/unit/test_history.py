"""A node's past as stretches of time."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.events import FOLDS
from domain.history import AWAY, ONLINE, STANDINGS, Period, online_share, periods

standings = st.sampled_from(sorted(set(STANDINGS.values())))
instants = st.integers(0, 1_000).map(float)
some_steps = st.lists(st.tuples(instants, standings), max_size=20)


def test_only_events_there_are_change_how_a_node_stands() -> None:
    assert set(STANDINGS) <= set(FOLDS)


@pytest.mark.parametrize(
    ("before", "steps", "found"),
    [
        (None, [], []),
        (ONLINE, [], [(ONLINE, 100, 200)]),
        (None, [(150, ONLINE)], [(ONLINE, 150, 200)]),
        (
            ONLINE,
            [(120, "late"), (140, "offline"), (180, ONLINE)],
            [(ONLINE, 100, 120), ("late", 120, 140), ("offline", 140, 180), (ONLINE, 180, 200)],
        ),
        (ONLINE, [(120, AWAY), (130, ONLINE)], [(ONLINE, 100, 120), (AWAY, 120, 130), (ONLINE, 130, 200)]),
        (ONLINE, [(150, ONLINE)], [(ONLINE, 100, 200)]),
        (ONLINE, [(150, "late"), (140, "offline")], [(ONLINE, 100, 150), ("offline", 150, 200)]),
        (ONLINE, [(200, "late")], [(ONLINE, 100, 200)]),
    ],
    ids=["nothing", "all the time", "new", "down and up", "restart", "no change", "our clock set back", "at the end"],
)
def test_events_become_periods(before: str | None, steps: list[tuple[float, str]], found: list[object]) -> None:
    assert periods(before, steps, 100, 200) == [Period(*one) for one in found]  # type: ignore[misc]


@given(st.none() | standings, some_steps)
def test_periods_follow_each_other_without_gap_and_end_with_the_window(
    before: str | None, steps: list[tuple[float, str]]
) -> None:
    found = periods(before, steps, 100.0, 900.0)
    assert all(100 <= period.from_s < period.to_s <= 900 for period in found)
    assert all(one.to_s == other.from_s for one, other in pairwise(found))
    assert all(one.standing != other.standing for one, other in pairwise(found))
    if before is not None:
        assert (found[0].from_s, found[-1].to_s) == (100, 900)


@given(standings, some_steps, st.integers(101, 899).map(float))
def test_two_halves_tell_the_same_as_the_whole(before: str, steps: list[tuple[float, str]], cut: float) -> None:
    steps = sorted((step for step in steps if 100 <= step[0] < 900), key=lambda step: step[0])
    whole = periods(before, steps, 100.0, 900.0)
    first = periods(before, [step for step in steps if step[0] < cut], 100.0, cut)
    then = periods(first[-1].standing, [step for step in steps if step[0] >= cut], cut, 900.0)
    for standing in set(STANDINGS.values()):
        assert _length(standing, whole) == pytest.approx(_length(standing, first) + _length(standing, then))


def test_the_share_online() -> None:
    found = periods(ONLINE, [(120, AWAY), (130, ONLINE), (190, "late")], 100, 200)
    assert online_share(found) == pytest.approx(0.8)
    assert online_share([]) is None


def _length(standing: str, found: list[Period]) -> float:
    return sum(period.length_s for period in found if period.standing == standing)
