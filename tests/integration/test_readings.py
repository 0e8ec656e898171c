"""What conditions are judged by is what a graph of the same window shows as a single bucket."""

import math
import random
from collections.abc import Iterator
from typing import get_args
from uuid import uuid4

import msgspec
import pytest

from domain.errors import InvalidQuery
from domain.evaluation import measure, nodes_of
from domain.ids import AccountId
from domain.query import PERCENTILES, Over, Query
from domain.series import MINUTE, RAW, Plan
from domain.series_key import labelset
from domain.settings import Settings
from schema import migrate, query, readings, samples
from schema.clickhouse_client import ClickHouse
from schema.query import Cut
from schema.readings import Ask
from tests.clickhouse_server import Server

START_S = 1_767_225_600
KEPT = Settings(raw_retention_days=10_000, minute_retention_days=10_000, hour_retention_days=10_000)
MINE, THEIRS = AccountId(uuid4()), AccountId(uuid4())
LABELS = [{}, {"core": "0"}, {"core": "1"}, {"odd": 'a="b",core="7"'}]


@pytest.fixture(scope="module")
def clickhouse(clickhouse_server: Server) -> Iterator[ClickHouse]:
    """An hour of two metrics of four nodes; another account has the same with values that would be seen."""
    name = f"test_{uuid4().hex}"
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    with server.client() as client:
        client.command(f"CREATE DATABASE {name}")
        clickhouse = ClickHouse(f"http://{server.username}:{password}@{server.host}:{server.port}/{name}")
        migrate.upgrade(clickhouse, KEPT)
        for account_id, times in ((MINE, 1.0), (THEIRS, 1e6)):
            _fill(clickhouse, account_id, times, random.Random(1))
        yield clickhouse
        clickhouse.close()
        client.command(f"DROP DATABASE {name} SYNC")


def _fill(clickhouse: ClickHouse, account_id: AccountId, times: float, chance: random.Random) -> None:
    found = []
    for node in ("web-1", "web-2", "db-1", "idle"):
        for second in range(0, 600 if node == "idle" else 3_600, 17):
            metrics = {}
            for labels in LABELS:
                key = f"{{{labelset(labels)}}}" if labels else ""
                metrics[f"load{key}"] = round(chance.uniform(0, 100) * times, 3)
                metrics[f"bytes{key}"] = second * (10 + len(labels)) * times
            found.append({"node": node, "ts": START_S + second + 0.25, "metrics": metrics})
    line = msgspec.json.encode({"account": str(account_id), "batch": f"{account_id}", "snapshots": found})
    samples.insert(clickhouse, line, f"{account_id}")


QUERIES = [
    Query("A", "load"),
    Query("A", "load", by=("node",), across="max"),
    Query("A", "load", ("core=1",), by=()),
    Query("A", "load", ("node=web-1",), by=("node", "core"), across="sum"),
    Query("A", "load", ("node=~web-.*", "core!=0"), by=("core",), across="min"),
    Query("A", "load", ('odd=~.*"b".*',)),
    Query("A", "load", ("node!~web-.*",), by=("node",), across="count"),
    Query("A", "none"),
]


@pytest.mark.parametrize("length_s", [60, 1_200])
@pytest.mark.parametrize("over", [one for one in get_args(Over) if one not in PERCENTILES])  # conditions refuse those
def test_a_reading_is_what_a_graph_shows(clickhouse: ClickHouse, over: Over, length_s: int) -> None:
    to_s = START_S + 2_400
    tier = RAW if length_s < 600 else MINUTE
    plan = Plan(tier, length_s, to_s - length_s, to_s)
    for one in QUERIES:
        asked = msgspec.structs.replace(
            one, metric="bytes" if over == "rate" and one.metric == "load" else one.metric, over=over
        )
        nodes = nodes_of(asked)
        what = Ask(["bytes", "load", "none"], to_s - length_s, to_s, nodes)
        found = (readings.read_rates if over == "rate" else readings.read)(clickhouse, MINE, what)
        values = {
            frozenset(group.labels.items()): value
            for group, value in measure(asked, found.of(asked.metric, over, nodes)).items()
        }
        lines = query.read(clickhouse, MINE, asked, Cut(plan), 1_000).lines
        shown = {
            frozenset(line.labels.items()): msgspec.json.decode(line.values, type=list[float])[0] for line in lines
        }
        assert values.keys() == shown.keys()
        assert all(math.isclose(values[group], shown[group], rel_tol=1e-9) for group in values)
        assert bool(values) == (asked.metric != "none")


def test_the_series_that_can_be_missed_are_known_with_their_last_contact(clickhouse: ClickHouse) -> None:
    what = Ask(["load"], START_S, START_S + 60)
    heard = readings.last_heard(clickhouse, MINE, what, START_S)
    last = {(one.node, one.labelset): one.value for one in heard.of("load", "last", None)}
    assert len(last) == 16
    assert last["idle", ""] == START_S + 17 * 35 + 0.25
    late = readings.last_heard(clickhouse, MINE, what, START_S + 1_000)
    assert {one.node for one in late.of("load", "last", None)} == {"web-1", "web-2", "db-1"}


def test_too_many_series_are_not_judged_in_part(clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "SERIES_MAX", 15)
    with pytest.raises(InvalidQuery, match="more than 15 series"):
        readings.read(clickhouse, MINE, Ask(["load"], START_S, START_S + 60))
    readings.read(clickhouse, MINE, Ask(["load"], START_S, START_S + 60, ["web-1"]))
