"""The cluster: two shards of two replicas. What one server promises must hold here, whoever takes an INSERT."""

import json
import time
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest

from schema.samples import INSERT_SETTINGS
from tests.containers.stack import Stack, started

SERVERS = ("shard-1-1", "shard-1-2", "shard-2-1", "shard-2-2")
TIERS = ("samples", "samples_1m", "samples_1h", "series")
NODES = [f"node-{n}" for n in range(40)]
SPREAD = {"distributed_foreground_insert": 1, "prefer_localhost_replica": 0}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with started(tmp_path_factory.mktemp("cluster"), "cluster", CLICKHOUSE_CLUSTER="metrist") as running:
        for node in NODES:
            running.send(node, [1, 2, 3, 4, 5])
        running.wait_until(lambda: running.count() == 5 * len(NODES))
        yield running


def test_series_are_spread_and_each_is_whole_on_one_shard(cluster: Stack) -> None:
    held = [_nodes(cluster, f"shard-{shard}-1", "samples_local") for shard in (1, 2)]
    assert held[0] | held[1] == set(NODES)
    assert held[0] and held[1] and not held[0] & held[1]
    for tier in TIERS[1:]:
        assert [_nodes(cluster, f"shard-{shard}-1", f"{tier}_local") for shard in (1, 2)] == held


def test_replicas_hold_the_same(cluster: Stack) -> None:
    for shard in (1, 2):
        for tier in TIERS:
            cluster.wait_until(partial(_is_same, cluster, shard, f"{tier}_local"))


def test_a_segment_that_is_inserted_again_counts_once_whoever_takes_it(cluster: Stack) -> None:
    account, now_s = str(uuid4()), int(time.time())
    snapshots = [{"node": node, "ts": now_s - n, "metrics": {"again": n}} for node in NODES for n in range(30)]
    segment = json.dumps({"account": account, "batch": "", "snapshots": snapshots})
    token = f"segment-{account}"
    for server in SERVERS:
        _insert(cluster, server, segment, token)
        counted = f"SELECT count() FROM samples WHERE account = '{account}'"
        assert _ask(cluster, server, counted) == str(len(snapshots)), server
    for tier in ("samples_1m", "samples_1h"):
        assert _ask(cluster, SERVERS[0], f"SELECT sum(count) FROM {tier} WHERE account = '{account}'") == str(
            len(snapshots)
        )


def test_the_largest_lines_are_those_of_all_shards(cluster: Stack) -> None:
    for n, node in enumerate(NODES):
        cluster.send(node, [0], **{"ranked.value": float(n)})
    query = {"id": "A", "metric": "ranked.value", "by": ["node"], "top": 3}
    expected = set(NODES[-3:])

    def shown() -> set[str]:
        answer = cluster.request("POST", "/api/v1/query", json={"graph": {"queries": [query]}, "from": "now-2h"})
        assert answer.status_code == 200, answer.text
        return {line["labels"]["node"] for line in answer.json()["lines"]}

    cluster.wait_until(lambda: shown() == expected)


def test_migrating_again_changes_nothing(cluster: Stack) -> None:
    tables = "SELECT groupArray(create_table_query) FROM system.tables WHERE database = 'metrist'"
    before = _ask(cluster, SERVERS[3], tables)
    assert "nothing to do" in cluster.docker("run", "--rm", "migrate", "migrate")
    cluster.docker("run", "--rm", "migrate", "migrate", "--again")
    assert _ask(cluster, SERVERS[3], tables) == before


def test_a_replica_away_stops_nothing_and_catches_up(cluster: Stack) -> None:
    before = cluster.count("node-0")
    cluster.docker("kill", "--signal", "KILL", "shard-1-1")
    try:
        for node in NODES:
            cluster.send(node, [7], **{"away.value": 1})
        asked = {"metric": "away.value", "from": "now-2h", "agg": "count"}
        cluster.wait_until(
            lambda: len(cluster.request("GET", "/api/v1/series", params=asked).json().get("series", [])) == len(NODES),
            120,
        )
        assert cluster.count("node-0") == before + 1
    finally:
        cluster.docker("start", "shard-1-1")
    cluster.wait_healthy(["shard-1-1"])
    cluster.wait_until(lambda: _is_same(cluster, 1, "samples_local"), 120)


def _nodes(cluster: Stack, server: str, table: str) -> set[str]:
    mine = "metric = 'test.value'"
    return set(_ask(cluster, server, f"SELECT DISTINCT node FROM {table} WHERE {mine}").split())


def _is_same(cluster: Stack, shard: int, table: str) -> bool:
    one, other = (_rows(cluster, f"shard-{shard}-{replica}", table) for replica in (1, 2))
    return one == other


def _rows(cluster: Stack, server: str, table: str) -> str:
    """How many rows and a sum over them; merged ones alike, whatever either replica has merged already."""
    final = "" if table == "samples_local" else " FINAL"
    return _ask(cluster, server, f"SELECT count(), sum(cityHash64(*)) FROM (SELECT * FROM {table}{final})")


def _insert(cluster: Stack, server: str, segment: str, token: str) -> None:
    told = {**INSERT_SETTINGS, **SPREAD, "insert_deduplication_token": token}
    told.pop("wait_end_of_query")  # of the HTTP interface
    settings = [f"--{name}={value}" for name, value in told.items()]
    _client(cluster, server, "INSERT INTO ingest FORMAT JSONEachRow", *settings, body=segment)


def _ask(cluster: Stack, server: str, sql: str) -> str:
    return _client(cluster, server, sql, "--max_threads=2").strip()


def _client(cluster: Stack, server: str, sql: str, *options: str, body: str = "") -> str:
    who = ["--user", "metrist", "--password", cluster.password, "--database", "metrist"]
    return cluster.docker("exec", "-T", server, "clickhouse-client", *who, *options, "--query", sql, body=body)
