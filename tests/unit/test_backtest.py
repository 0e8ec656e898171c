"""A backtest tells what evaluation would have told, at the limit that was asked for and at others."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.backtest import Line, all_readings, others, play, readings, with_threshold
from domain.condition_specs import MetricRule, Spec
from domain.conditions import NoData, Reading, first, run
from domain.evaluation import group
from domain.query import Query

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOON_S = int(NOON.timestamp())
CPU = MetricRule(Query("A", "cpu"), 60, 60, ">", 90.0)
WEB, DB = group({"node": "web-1"}), group({"node": "db-1"})
STEP_S = 60


def minute(number: int) -> datetime:
    return NOON + timedelta(minutes=number)


def test_incidents_with_their_times_and_worst_values() -> None:
    web = Line(WEB, [10, 95, 99, 91, 10, 10, 92])
    db = Line(DB, [10, 10, 10, 10, 93, 10, 10])
    found = play(Spec(CPU), [web, db], NOON_S, STEP_S)
    assert [(one.group, one.began_at, one.ended_at, one.worst) for one in found.incidents] == [
        (WEB, minute(2), minute(5), 99),
        (DB, minute(5), minute(6), 93),
        (WEB, minute(7), None, 92),
    ]
    assert (found.notices, found.fired(minute(8))) == (3, timedelta(minutes=3 + 1 + 1))


def test_below_is_worst_at_its_least() -> None:
    rule = msgspec.structs.replace(CPU, comparison="<", threshold=5.0)
    assert play(Spec(rule), [Line(WEB, [9, 3, 1, 2, 9])], NOON_S, STEP_S).incidents[0].worst == 1


@pytest.mark.parametrize(("hold_s", "notices"), [(0, 3), (60, 2), (120, 1), (300, 0)])
def test_a_hold_tells_of_less(hold_s: int, notices: int) -> None:
    values = [10.0, 95.0, 10.0, 95.0, 95.0, 10.0, 95.0, 95.0, 95.0, 10.0]
    assert play(Spec(CPU, hold_s=hold_s), [Line(WEB, values)], NOON_S, STEP_S).notices == notices


def test_other_limits_are_round_and_where_values_were() -> None:
    spec = Spec(msgspec.structs.replace(CPU, clear=80.0))
    tried = others(spec, [Line(WEB, [float(value) for value in range(101)])])
    limits = [one.rule.threshold for one in tried if isinstance(one.rule, MetricRule)]
    assert limits == sorted(limits)
    assert 90.0 not in limits
    assert {75.0, 95.0, 99.0, 100.0} <= set(limits)
    assert all(one.rule.clear == one.rule.threshold - 10 for one in tried if isinstance(one.rule, MetricRule))
    assert others(spec, [Line(WEB, [None])]) == []


def test_fewer_notices_at_a_higher_limit() -> None:
    lines = [Line(WEB, [float(n * 7 % 100) for n in range(1_000)])]
    counts = [play(with_threshold(Spec(CPU), float(limit)), lines, NOON_S, STEP_S).notices for limit in (99, 98, 90)]
    assert counts == sorted(counts)
    assert counts[0] == 0


values = st.lists(st.one_of(st.none(), st.sampled_from([5.0, 85.0, 95.0])), max_size=80)
specs = st.builds(
    Spec,
    st.just(msgspec.structs.replace(CPU, clear=80.0)),
    hold_s=st.sampled_from([0, 30, 60, 90, 180]),
    keep_firing_s=st.sampled_from([0, 30, 120]),
    no_data=st.sampled_from(list(NoData)),
    no_data_after_s=st.sampled_from([60, 150, 300]),
)


@given(specs, values)
def test_looking_only_where_something_can_change_misses_nothing(spec: Spec, found: Sequence[float | None]) -> None:
    def told(some: Callable[[Spec, Sequence[float | None], int], Iterator[tuple[int, Reading]]]) -> list[object]:
        _, made = run(first(NOON), spec.policy, [(minute(place), one) for place, one in some(spec, found, STEP_S)])
        return [(one.at, one.before, one.after, one.news) for one in made]

    assert told(readings) == told(all_readings)
