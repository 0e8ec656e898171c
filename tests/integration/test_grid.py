"""Series on their grid, on a real ClickHouse: the same numbers as in the other form, remembered as long as promised."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ids import AccountId
from domain.series import (
    AGGREGATIONS,
    CLOSED_AFTER_S,
    HOUR,
    KEPT_S,
    MINUTE,
    RAW,
    Across,
    Aggregation,
    Plan,
    Resolution,
    Selector,
)
from schema import grid, migrate, samples, series
from schema.answers import Answers
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server
from tests.integration.test_tiers import KEPT, START_S, address, line, snapshot

DAY = Plan(HOUR, 3_600, START_S, START_S + 86_400)
LONG_AFTER_S = START_S + 86_400 * 30.0
ALL = Selector(["cpu.*"])
Points = dict[str, dict[int, tuple[float | None, ...]]]


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(clickhouse_server: Server, clickhouse_database: str, clock: Clock) -> Iterator[grid.Source]:
    clickhouse = ClickHouse(address(clickhouse_server, clickhouse_database))
    migrate.upgrade(clickhouse, KEPT)
    yield grid.Source(clickhouse, Answers(clock=clock), AccountId(uuid4()))
    clickhouse.close()


def store(source: grid.Source, *snapshots: dict[str, object]) -> None:
    samples.insert(source.clickhouse, line(source.account_id, list(snapshots)), str(uuid4()))


def numbers(array: bytes) -> list[float | None]:
    return msgspec.json.decode(array, type=list[float | None])


def of_grid(read: grid.Read, plan: Plan) -> Points:
    found: Points = {}
    for one in read.lines:
        columns = [numbers(array) for array in (one.main, one.low or one.main, one.high or one.main)]
        assert [len(column) for column in columns] == [grid.slots(plan)] * 3
        rows = enumerate(zip(*columns, strict=True))
        found["|".join(one.key)] = {
            plan.from_s + slot * plan.step_s: values for slot, values in rows if values != (None, None, None)
        }
    return found


def of_points(source: grid.Source, selector: Selector, plan: Plan, agg: Aggregation, across: Across) -> Points:
    found: Points = {}
    for one in series.read(source.clickhouse, source.account_id, selector, plan, agg, across).series:
        rows = zip(*(numbers(bytes(array)) for array in (one.ts, one.main, one.minimum, one.maximum)), strict=True)
        labels = ",".join(f'{key}="{value}"' for key, value in one.labels.items())
        found[f"{one.metric}|{one.node}|{labels}"] = {int(ts or 0): values for ts, *values in rows}
    return {key: {ts: tuple(values) for ts, values in rows.items()} for key, rows in found.items()}


KEYS = st.sampled_from(["cpu.user", 'cpu.user{core="0"}', "cpu.idle"])
SAMPLES = st.lists(
    st.tuples(KEYS, st.integers(0, 86_399), st.floats(-1e6, 1e6)), min_size=1, max_size=40, unique_by=lambda s: s[:2]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    SAMPLES,
    st.sampled_from([(RAW, 10), (RAW, 60), (MINUTE, 60), (MINUTE, 300), (HOUR, 3_600), (HOUR, 7_200)]),
    st.sampled_from(AGGREGATIONS),
    st.sampled_from(["none", "avg", "sum"]),
    st.integers(0, 90_000),
)
def test_both_forms_say_the_same_wherever_the_closed_buckets_end(
    source: grid.Source,
    found: list[tuple[str, int, float]],
    tier: tuple[Resolution, int],
    aggregation: Aggregation,
    across: Across,
    now_s: int,
) -> None:
    mine = replace(source, account_id=AccountId(uuid4()))
    store(mine, *(snapshot(START_S + at_s, value, key=key) for key, at_s, value in found))
    plan = Plan(*tier, START_S, START_S + 86_400)
    expected = of_points(mine, ALL, plan, aggregation, across)
    for _ in range(2):  # asked, and remembered
        read = grid.read(mine, ALL, plan, START_S + now_s, aggregation, across)
        assert of_grid(read, plan) == expected


def test_min_and_max_are_left_out_where_they_say_nothing_new(source: grid.Source) -> None:
    store(source, snapshot(START_S, 1.0), snapshot(START_S + 10, 2.0))
    (close,) = grid.read(source, ALL, Plan(RAW, 10, START_S, START_S + 60), LONG_AFTER_S).lines
    (far,) = grid.read(source, ALL, Plan(RAW, 60, START_S, START_S + 60), LONG_AFTER_S).lines
    assert (close.main, close.low, close.high) == (b"[1,2,null,null,null,null]", None, None)
    assert (far.main, far.low, far.high) == (b"[1.5]", b"[1]", b"[2]")


def test_a_late_sample_shows_within_the_promised_minute(source: grid.Source, clock: Clock) -> None:
    store(source, snapshot(START_S, 1.0))
    first = grid.read(source, ALL, DAY, LONG_AFTER_S)
    store(source, snapshot(START_S + 3_600, 2.0))
    clock.now_s += KEPT_S - 1
    remembered = grid.read(source, ALL, DAY, LONG_AFTER_S + KEPT_S - 1)
    assert (remembered.lines, remembered.rows_read) == (first.lines, 0)
    clock.now_s += 1
    now = grid.read(source, ALL, DAY, LONG_AFTER_S + KEPT_S)
    assert of_grid(now, DAY)["cpu.user|web-1|"] == {START_S: (1,) * 3, START_S + 3_600: (2,) * 3}


@pytest.mark.parametrize("ago_s", [0, 60, CLOSED_AFTER_S - 1], ids="{} s ago".format)
def test_what_is_not_closed_shows_at_once(source: grid.Source, ago_s: int) -> None:
    plan = Plan(MINUTE, 60, START_S, START_S + 3_600)
    now_s = float(plan.to_s)
    store(source, snapshot(START_S, 1.0))
    grid.read(source, ALL, plan, now_s)
    newest_s = int(now_s - ago_s - 1) // 60 * 60
    store(source, snapshot(newest_s, 5.0))
    found = of_grid(grid.read(source, ALL, plan, now_s), plan)["cpu.user|web-1|"]
    assert found == {START_S: (1,) * 3, newest_s: (5,) * 3}


def test_a_new_series_is_empty_in_what_was_remembered(source: grid.Source) -> None:
    plan = Plan(MINUTE, 60, START_S, START_S + 3_600)
    now_s = float(plan.to_s)
    store(source, snapshot(START_S, 1.0))
    grid.read(source, ALL, plan, now_s)
    store(source, snapshot(plan.to_s - 60, 3.0, node="web-2"))
    store(source, snapshot(plan.to_s - 60, 4.0, node="web-2"))
    found = of_grid(grid.read(source, ALL, plan, now_s), plan)
    assert found == {"cpu.user|web-1|": {START_S: (1,) * 3}, "cpu.user|web-2|": {plan.to_s - 60: (3.5, 3, 4)}}


def test_one_account_is_never_given_another_s_answer(source: grid.Source) -> None:
    theirs = replace(source, account_id=AccountId(uuid4()))
    store(source, snapshot(START_S, 1.0))
    store(theirs, snapshot(START_S, 2.0))
    for _ in range(2):
        assert [one.main[:2] for one in grid.read(source, ALL, DAY, LONG_AFTER_S).lines] == [b"[1"]
        assert [one.main[:2] for one in grid.read(theirs, ALL, DAY, LONG_AFTER_S).lines] == [b"[2"]
        assert grid.read(replace(source, account_id=AccountId(uuid4())), ALL, DAY, LONG_AFTER_S).lines == []
