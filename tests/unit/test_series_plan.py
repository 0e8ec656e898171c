"""Which resolution answers a window, and on which grid."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import series
from domain.errors import InvalidQuery
from domain.series import HOUR, MINUTE, RAW, Plan, Retention, Window

DAY_S = 86_400
NOW_S = 1_767_225_600.0
KEPT = Retention(30 * DAY_S, 400 * DAY_S, 1_830 * DAY_S)


@pytest.mark.parametrize(
    ("length_s", "tier", "step_s"),
    [
        pytest.param(300, "raw", 1, id="5 m"),
        pytest.param(3_600, "raw", 10, id="1 h"),
        pytest.param(6 * 3_600, "1m", 60, id="6 h"),
        pytest.param(DAY_S, "1m", 300, id="1 d"),
        pytest.param(7 * DAY_S, "1m", 1_800, id="7 d"),
        pytest.param(30 * DAY_S, "1h", 7_200, id="30 d"),
        pytest.param(365 * DAY_S, "1h", 86_400, id="1 y"),
    ],
)
def test_the_coarsest_tier_that_gives_the_points(length_s: float, tier: str, step_s: int) -> None:
    plan = series.plan(Window(NOW_S - length_s, NOW_S), 600, KEPT, NOW_S)
    assert (plan.resolution.name, plan.step_s) == (tier, step_s)


def test_a_range_older_than_raw_samples_are_kept_reads_the_rollup() -> None:
    plan = series.plan(Window(NOW_S - 40 * DAY_S, NOW_S - 40 * DAY_S + 300), 600, KEPT, NOW_S)
    assert (plan.resolution.name, plan.step_s) == ("1m", 60)


def test_a_range_older_than_everything_reads_the_coarsest() -> None:
    plan = series.plan(Window(0, 300), 600, KEPT, NOW_S)
    assert plan.resolution.name == "1h"


@given(
    st.floats(0, NOW_S - 1), st.floats(1, 5e7), st.integers(1, 11_000), st.one_of(st.none(), st.integers(1, 10_000_000))
)
def test_every_plan_is_whole_buckets_over_the_window(
    from_s: float, length_s: float, points: int, step_s: int | None
) -> None:
    window = Window(from_s, from_s + length_s)
    try:
        plan = series.plan(window, points, KEPT, NOW_S, step_s)
    except InvalidQuery:
        return
    assert plan.from_s % plan.step_s == 0 and plan.to_s % plan.step_s == 0
    assert plan.from_s <= window.from_s and plan.to_s >= window.to_s
    assert window.from_s - plan.from_s < plan.step_s and plan.to_s - window.to_s < plan.step_s + 1
    if plan.resolution.width_s:
        assert plan.step_s % plan.resolution.width_s == 0


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        pytest.param(Plan(MINUTE, 1_800, 1_800, 2_592_000), Plan(HOUR, 1_800, 0, 2_592_000), id="a month: hours"),
        pytest.param(Plan(MINUTE, 60, 60, 86_400), Plan(MINUTE, 60, 60, 86_400), id="a day: too few hours"),
        pytest.param(Plan(RAW, 10, 10, 7_210), Plan(MINUTE, 10, 0, 7_260), id="two hours of samples: minutes"),
        pytest.param(Plan(RAW, 1, 0, 600), Plan(RAW, 1, 0, 600), id="ten minutes: as it is"),
        pytest.param(Plan(HOUR, 3_600, 0, 7_200), Plan(HOUR, 3_600, 0, 7_200), id="never finer"),
    ],
)
def test_a_window_as_a_whole_is_read_from_few_buckets(plan: Plan, expected: Plan) -> None:
    assert series.whole(plan) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("now", NOW_S), ("now-1h", NOW_S - 3_600), ("now-1.5d", NOW_S - 129_600), ("12.5", 12.5)],
)
def test_instants(text: str, expected: float) -> None:
    assert series.instant(text, NOW_S) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "now+1h", "nan", "inf", "1e300", "now-1x"])
def test_bad_instants_are_refused(text: str) -> None:
    with pytest.raises(InvalidQuery):
        series.instant(text, NOW_S)
