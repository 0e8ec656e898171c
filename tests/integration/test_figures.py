"""Figures of nodes on a real ClickHouse: one value a minute of all series that a node sends of a metric."""

import json
from collections.abc import Iterator
from uuid import uuid4

import pytest

from domain.ids import AccountId
from domain.settings import Settings
from schema import figures, migrate, samples
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server

START_S = 1_700_000_040  # a whole minute
KEPT = Settings(raw_retention_days=10_000, minute_retention_days=10_000, hour_retention_days=10_000)
METRICS: dict[str, figures.Across] = {"cpu": "avg", "disk": "max", "net": "sum"}


@pytest.fixture
def clickhouse(clickhouse_server: Server, clickhouse_database: str) -> Iterator[ClickHouse]:
    server = clickhouse_server
    password = server.password.replace(" ", "%20")
    opened = ClickHouse(f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}")
    migrate.upgrade(opened, KEPT)
    yield opened
    opened.close()


def send(clickhouse: ClickHouse, account_id: AccountId, node: str, ts_s: float, metrics: dict[str, float]) -> None:
    snapshot = {"node": node, "ts": ts_s, "metrics": metrics}
    body = json.dumps({"account": str(account_id), "batch": "b", "snapshots": [snapshot]}).encode() + b"\n"
    samples.insert(clickhouse, body, uuid4().hex)


CASES = [
    ("one series", {"disk": 0.5}, {"disk": 0.5}),
    ("a total before its parts", {"cpu": 10, 'cpu{core="0"}': 90}, {"cpu": 10}),
    ("the mean of cores", {'cpu{core="0"}': 10, 'cpu{core="1"}': 20}, {"cpu": 15}),
    ("the fullest disk", {'disk{mount="/"}': 40, 'disk{mount="/var"}': 91}, {"disk": 91}),
    ("all interfaces", {'net{interface="a"}': 100, 'net{interface="b"}': 100}, {"net": 200}),
    ("what nobody asked for", {"other": 1}, {}),
]


@pytest.mark.parametrize(("sent", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_figure_is_one_value_of_several_series(
    clickhouse: ClickHouse, sent: dict[str, float], expected: dict[str, float]
) -> None:
    account_id = AccountId(uuid4())
    send(clickhouse, account_id, "web-1", START_S + 5, sent)
    found = figures.read(clickhouse, account_id, METRICS, START_S, START_S + 60)
    assert {one.metric: one.values[0] for one in found} == expected
    assert all(one.minutes == [0] and one.node == "web-1" for one in found)


def test_minutes_are_counted_from_the_first_one_asked_for(clickhouse: ClickHouse) -> None:
    account_id = AccountId(uuid4())
    for minute, value in ((-1, 7.0), (0, 1.0), (2, 2.0), (2, 4.0), (3, 9.0)):
        send(clickhouse, account_id, "web-1", START_S + minute * 60 + value, {"cpu": value})
    (found,) = figures.read(clickhouse, account_id, METRICS, START_S, START_S + 180)
    assert (found.minutes, found.values) == ([0, 2], [1.0, 3.0])


def test_only_the_nodes_and_the_account_asked_for(clickhouse: ClickHouse) -> None:
    account_id, other_id = AccountId(uuid4()), AccountId(uuid4())
    for owner, node in ((account_id, "web-1"), (account_id, "it's \\ {odd}"), (other_id, "canary")):
        send(clickhouse, owner, node, START_S, {"cpu": 1})
    of = figures.read(clickhouse, account_id, METRICS, START_S, START_S + 60, ["it's \\ {odd}", "canary"])
    assert [one.node for one in of] == ["it's \\ {odd}"]
    everyone = figures.read(clickhouse, account_id, METRICS, START_S, START_S + 60)
    assert {one.node for one in everyone} == {"web-1", "it's \\ {odd}"}
    assert figures.read(clickhouse, account_id, METRICS, START_S, START_S + 60, []) == []
