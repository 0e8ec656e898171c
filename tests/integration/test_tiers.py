"""Raw samples and rollups on a real ClickHouse: counted once, equal to each other, bound to their account."""

import json
import math
import struct
from collections.abc import Iterator
from importlib.resources import files
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import StartRefused
from domain.ids import AccountId
from domain.series import HOUR, MINUTE, RAW, Aggregation, Plan, Resolution, Selector
from domain.settings import Settings
from schema import migrate, samples, series
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server

START_S = 1_767_225_600
TIERS = ("count() FROM samples", "sum(count) FROM samples_1m", "sum(count) FROM samples_1h")
KEPT = Settings(raw_retention_days=10_000, minute_retention_days=10_000, hour_retention_days=10_000)

Snapshots = list[dict[str, object]]


@pytest.fixture
def tiers(clickhouse_server: Server, clickhouse_database: str) -> Iterator[ClickHouse]:
    """An empty ClickHouse with all tables."""
    server = clickhouse_server
    clickhouse = ClickHouse(address(server, clickhouse_database))
    migrate.upgrade(clickhouse, KEPT)
    yield clickhouse
    clickhouse.close()


def address(server: Server, database: str) -> str:
    password = server.password.replace(" ", "%20")
    return f"http://{server.username}:{password}@{server.host}:{server.port}/{database}"


def account() -> AccountId:
    return AccountId(uuid4())


def line(account_id: UUID, snapshots: Snapshots) -> bytes:
    return json.dumps({"account": str(account_id), "batch": "b", "snapshots": snapshots}).encode() + b"\n"


def snapshot(ts_s: float, value: float = 1.0, node: str = "web-1", key: str = "cpu.user") -> dict[str, object]:
    return {"node": node, "ts": ts_s, "metrics": {key: value}}


def counts(clickhouse: ClickHouse) -> list[int]:
    return [int(str(clickhouse.command(f"SELECT {tier}"))) for tier in TIERS]


def read(
    clickhouse: ClickHouse, account_id: AccountId, tier: Resolution, step_s: int, aggregation: Aggregation = "avg"
) -> dict[int, tuple[float, float, float]]:
    plan = Plan(tier, step_s, START_S, START_S + 86_400)
    found = series.read(clickhouse, account_id, Selector(["cpu.user"]), plan, aggregation).series
    if not found:
        return {}
    columns = [
        msgspec.json.decode(array, type=list[float | None])
        for array in (found[0].ts, found[0].main, found[0].minimum, found[0].maximum)
    ]
    assert columns[0] == sorted(columns[0], key=lambda ts: ts or 0)
    return {int(ts or 0): (main or 0.0, low or 0.0, high or 0.0) for ts, main, low, high in zip(*columns, strict=True)}


@pytest.mark.parametrize("times_sent", [1, 2, 5], ids="sent {}×".format)
def test_a_segment_sent_again_counts_once(tiers: ClickHouse, times_sent: int) -> None:
    body = line(account(), [snapshot(START_S + n * 10) for n in range(500)])
    for _ in range(times_sent):
        samples.insert(tiers, body, "segment-1")
    assert counts(tiers) == [500, 500, 500]


def test_equal_segments_under_two_names_count_twice(tiers: ClickHouse) -> None:
    body = line(account(), [snapshot(START_S)])
    samples.insert(tiers, body, "segment-1")
    samples.insert(tiers, body, "segment-2")
    assert counts(tiers) == [2, 2, 2]


@pytest.mark.parametrize("missing", ["samples", "samples_1m", "samples_1h"])
def test_an_insert_cut_off_between_tiers_is_made_whole(tiers: ClickHouse, missing: str) -> None:
    body = line(account(), [snapshot(START_S + n) for n in range(100)])
    tiers.command(f"RENAME TABLE {missing} TO away")
    with pytest.raises(Exception, match=r"UNKNOWN_TABLE|does not exist"):
        samples.insert(tiers, body, "segment-1")
    tiers.command(f"RENAME TABLE away TO {missing}")
    for _ in range(2):
        samples.insert(tiers, body, "segment-1")
    assert counts(tiers) == [100, 100, 100]


SAMPLES = st.lists(
    st.tuples(st.integers(0, 4 * 3_600 * 1_000), st.floats(-1e6, 1e6)),
    min_size=1,
    max_size=60,
    unique_by=lambda s: s[0],
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.integers(1, 4))
def test_a_rollup_read_equals_the_raw_read_resampled(
    tiers: ClickHouse, found: list[tuple[int, float]], inserts: int
) -> None:
    account_id = account()
    for number in range(inserts):
        part = [snapshot(START_S + ms / 1000, value) for ms, value in found[number::inserts]]
        if part:
            samples.insert(tiers, line(account_id, part), f"{account_id}-{number}")
    for step_s, tier in ((60, MINUTE), (300, MINUTE), (3_600, MINUTE), (3_600, HOUR), (7_200, HOUR)):
        for aggregation in ("avg", "min", "max", "sum", "last", "count"):
            raw = read(tiers, account_id, RAW, step_s, aggregation)
            rolled = read(tiers, account_id, tier, step_s, aggregation)
            assert rolled.keys() == raw.keys()
            for ts, values in raw.items():
                assert all(
                    math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-6)
                    for one, other in zip(rolled[ts], values, strict=True)
                ), (aggregation, step_s, ts, rolled[ts], values)


DECIMALS = st.builds(round, st.floats(-1e15, 1e15), st.integers(0, 7))
EDGES = st.sampled_from([0.0, -0.0, 5e-324, 1e300, 2.0**53, 2.0**53 - 1, -(2.0**63), 0.1 + 0.2, 1e-6, 1e-7])
WHOLE = st.integers(-(2**53), 2**53).map(float)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.lists(kind, min_size=1, max_size=20)
        for kind in (st.floats(allow_nan=False, allow_infinity=False), DECIMALS, WHOLE, DECIMALS | EDGES | WHOLE)
    )
)
def test_a_value_is_read_as_it_was_sent_to_the_last_bit(tiers: ClickHouse, values: list[float]) -> None:
    account_id = account()
    body = line(account_id, [snapshot(START_S + number, value) for number, value in enumerate(values)])
    samples.insert(tiers, body, str(account_id))
    rows = tiers.query(
        "SELECT value FROM samples WHERE account = {account:UUID} ORDER BY ts", {"account": account_id}
    ).result_rows
    assert [struct.pack("d", row[0]) for row in rows] == [struct.pack("d", value) for value in values]


@pytest.mark.parametrize(
    ("value", "divisor"),
    [(3.0, 1), (2.5, 10), (-0.25, 100), (99.999, 1_000), (0.1 + 0.2, 0), (-0.0, 0), (1e300, 0), (2.0**53, 0)],
)
def test_few_decimals_are_kept_as_whole_numbers(tiers: ClickHouse, value: float, divisor: int) -> None:
    samples.insert(tiers, line(account(), [snapshot(START_S, value), snapshot(START_S + 1, value)]), "segment-1")
    assert tiers.query("SELECT DISTINCT divisor FROM samples").result_rows == [(divisor,)]


def test_labels_are_split_from_names_and_unpacked_for_analysts(tiers: ClickHouse) -> None:
    body = line(account(), [snapshot(START_S, key='disk.used{device="sda1",mount="/a\\"b,c=\\\\"}')])
    samples.insert(tiers, body, "segment-1")
    for table in ("samples", "samples_1m", "samples_1h", "series"):
        row = tiers.query(f"SELECT metric, labels['device'], labels['mount'] FROM {table}").result_rows[0]
        assert row == ("disk.used", "sda1", '/a"b,c=\\')


def test_one_account_never_reads_another(tiers: ClickHouse) -> None:
    mine, theirs = account(), account()
    samples.insert(tiers, line(theirs, [snapshot(START_S, 41.5)]) + line(mine, [snapshot(START_S, 1)]), "segment-1")
    assert read(tiers, mine, RAW, 60)[START_S][0] == 1
    assert [found.last for found in series.list_series(tiers, mine, Selector(()), 0)] == [1]
    assert read(tiers, account(), RAW, 60) == {}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        pytest.param(Selector(["cpu.user"]), {"web-1", "web-2"}, id="every node"),
        pytest.param(Selector(["cpu.user"], ["web-2"]), {"web-2"}, id="one node"),
        pytest.param(Selector(["cpu.*"], ["web-*"]), {"web-1", "web-2"}, id="globs"),
        pytest.param(Selector(["cpu_user"]), set(), id="no pattern of LIKE"),
        pytest.param(Selector(["c%"]), set(), id="percent is itself"),
        pytest.param(Selector(["cpu.user"], (), {"core": "0"}), {"web-2"}, id="label"),
        pytest.param(Selector(["cpu.user"], (), {"core": "1"}), set(), id="label with another value"),
        pytest.param(Selector(["cpu.user"], (), {"ore": "0"}), set(), id="end of a label's name"),
    ],
)
def test_a_selector_names_series(tiers: ClickHouse, selector: Selector, expected: set[str]) -> None:
    account_id = account()
    body = line(account_id, [snapshot(START_S), snapshot(START_S, node="web-2", key='cpu.user{core="0",z="9"}')])
    samples.insert(tiers, body, "segment-1")
    found = series.read(tiers, account_id, selector, Plan(RAW, 60, START_S, START_S + 60)).series
    assert {one.node for one in found} == expected


def test_a_label_is_not_found_within_the_values_of_others(tiers: ClickHouse) -> None:
    account_id = account()
    keys = ('cpu.user{a="x,key=",b=",y"}', 'cpu.user{key=",b="}')
    samples.insert(tiers, line(account_id, [snapshot(START_S, key=key) for key in keys]), "segment-1")
    selector, plan = Selector(["cpu.user"], (), {"key": ",b="}), Plan(RAW, 60, START_S, START_S + 60)
    assert [one.labels for one in series.read(tiers, account_id, selector, plan).series] == [{"key": ",b="}]


def test_series_fold_across_nodes(tiers: ClickHouse) -> None:
    account_id = account()
    body = line(account_id, [snapshot(START_S, 1.0), snapshot(START_S + 1, 3.0, node="web-2")])
    samples.insert(tiers, body, "segment-1")
    plan = Plan(MINUTE, 60, START_S, START_S + 60)
    found = series.read(tiers, account_id, Selector(["cpu.user"]), plan, "avg", "sum").series
    assert [(one.node, bytes(one.main), bytes(one.maximum)) for one in found] == [("", b"[4]", b"[3]")]


def test_migrations_run_once_and_notice_strangers(tiers: ClickHouse) -> None:
    migrate.check(tiers)
    assert migrate.upgrade(tiers, KEPT) == []
    tiers.command("INSERT INTO migrations (number, name, checksum) VALUES (9999, 'later.sql', 'x')")
    with pytest.raises(StartRefused, match="newer release"):
        migrate.check(tiers)


def test_current_sql_is_what_the_migrations_build(clickhouse_server: Server) -> None:
    built = migrate.build_and_describe(address(clickhouse_server, "default"), KEPT)
    assert built == files("schema").joinpath("clickhouse", "current.sql").read_text("utf-8")


def test_retention_follows_the_settings(tiers: ClickHouse) -> None:
    migrate.set_retention(tiers, KEPT.model_copy(update={"raw_retention_days": 7}))
    assert "toIntervalDay(7)" in str(tiers.command("SHOW CREATE TABLE samples"))
