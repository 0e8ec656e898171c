"""A year of samples within a minute or two, made by the engine itself: what graphs of any range are measured on.

50 nodes × 100 metrics: the hour tier of a whole year; of two nodes, which are looked at, also the minute tier of that
year and the raw samples of 30 days, of the others the last day of both. The rest, 2.5 G minutes and 1.2 G samples,
would be in no graph that is measured, and cost half an hour and 40 GB. And one metric of 10,000 series, 31 days of
hours.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from clickhouse_connect.driver.client import Client

from bench.platform import TIERS, Platform

GROUPS = ("app", "cache", "db", "disk", "net")
METRICS = tuple(f"{group}.field_{number:02}_percent" for group in GROUPS for number in range(20))
NODES = tuple(f"node-{number:02}" for number in range(50))
LOOKED_AT = NODES[:2]
OTHERS = NODES[2:]
MANY = "requests.seconds"
MANY_NODES = tuple(f"edge-{number:03}" for number in range(100))
ENDPOINTS = 100
SHOWN = 10
LARGEST_SEED = 990
"""Series of this seed or more are the largest hundred: these alone are read from the minute tier."""

DAY_S = 86_400
RAW_S = 10
AHEAD_S = 1_800
"""The data reaches beyond the end of the benchmark, so that the newest minutes of its graphs are not empty."""

BLOCK = {
    # one part for each INSERT and partition, written as it comes: in the order of the table
    "max_insert_threads": 1,
    "max_threads": 1,
    "min_insert_block_size_rows": 10_000_000,
    "min_insert_block_size_bytes": 4_000_000_000,
    "optimize_on_insert": 0,
    "max_partitions_per_insert_block": 0,
    "insert_deduplicate": 0,
}


@dataclass(frozen=True)
class Fill:
    """Every sample of some nodes in [from_s, to_s), for one tier."""

    tier: str
    nodes: Sequence[str]
    from_s: int
    to_s: int

    @property
    def step_s(self) -> int:
        return {"samples": RAW_S, "samples_1m": 60, "samples_1h": 3_600}[self.tier]


def load(platform: Platform) -> int:
    """Fill every tier; returns how many rows that are."""
    account = _enrol(platform)
    end_s = (int(time.time()) + AHEAD_S) // 3_600 * 3_600 + 3_600
    clients = _Clients(platform)
    statements = [*map(_insert, _fills(end_s)), _insert_many(end_s), _insert_largest(end_s), *_series(end_s)]

    def run(sql: str) -> None:
        clients.mine().command(sql, parameters={"account": account}, settings=BLOCK)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, statements))
    clients.close()
    return sum(int(str(platform.clickhouse.command(f"SELECT count() FROM {tier}"))) for tier in TIERS)


class _Clients:
    """A client for each thread."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._local = threading.local()
        self._all: list[Client] = []

    def mine(self) -> Client:
        if not hasattr(self._local, "client"):
            self._local.client = self._platform.connect()
            self._all.append(self._local.client)
        client: Client = self._local.client
        return client

    def close(self) -> None:
        for client in self._all:
            client.close()


def _enrol(platform: Platform) -> UUID:
    """Every node reports once, and so is registered; returns the account that they are of."""
    snapshots = [{"node": node, "metrics": {METRICS[0]: 50}} for node in NODES]
    platform.client.post("/api/v1/snapshots", json=snapshots).raise_for_status()
    for _ in range(600):
        rows = platform.clickhouse.query("SELECT any(account) FROM series HAVING count() > 0").result_rows
        if rows:
            account: UUID = rows[0][0]
            return account
        time.sleep(0.05)
    raise TimeoutError("the nodes' first samples were never readable")


def _fills(end_s: int) -> Iterator[Fill]:
    """One for each partition, so that each INSERT makes one part, as merges would leave it."""
    year_s = end_s - 365 * DAY_S
    for from_s, to_s in _months(year_s, end_s):
        yield Fill("samples_1m", LOOKED_AT, from_s, to_s)
    for from_s, to_s in _weeks(end_s - 30 * DAY_S, end_s):
        yield Fill("samples", LOOKED_AT, from_s, to_s)
    yield Fill("samples_1h", NODES, year_s, end_s)
    yield Fill("samples_1m", OTHERS, end_s - DAY_S, end_s)
    yield Fill("samples", OTHERS, end_s - DAY_S, end_s)


def _months(from_s: int, to_s: int) -> Iterator[tuple[int, int]]:
    while from_s < to_s:
        first = datetime.fromtimestamp(from_s, UTC).replace(day=1, hour=0)
        after = int((first + timedelta(days=32)).replace(day=1).timestamp())
        yield from_s, min(after, to_s)
        from_s = after


def _weeks(from_s: int, to_s: int) -> Iterator[tuple[int, int]]:
    monday_s = 4 * DAY_S  # 1970-01-05
    while from_s < to_s:
        after = from_s + 7 * DAY_S - (from_s - monday_s) % (7 * DAY_S)
        yield from_s, min(after, to_s)
        from_s = after


def _insert(fill: Fill) -> str:
    """Waves of a day with some noise, in percent, of two decimals; each series another."""
    buckets = (fill.to_s - fill.from_s) // fill.step_s
    source = f"""
        SELECT
            {_text_array(METRICS)}[intDiv(number, {buckets * len(fill.nodes)}) + 1]           AS metric,
            {_text_array(fill.nodes)}[intDiv(number, {buckets}) % {len(fill.nodes)} + 1]     AS node,
            toDateTime({fill.from_s} + number % {buckets} * {fill.step_s}, 'UTC')             AS at,
            cityHash64(metric, node) % 1000                                                   AS seed,
            round(50 + 30 * sin(toUnixTimestamp(at) / 13751 + seed) + intHash32(number) % 400 / 100, 2) AS mean,
            round(1 + intHash32(number + 1) % 200 / 100, 2)                                   AS spread
        FROM numbers({buckets * len(fill.nodes) * len(METRICS)})"""
    if fill.tier == "samples":
        return f"""INSERT INTO samples (account, metric, node, labelset, ts, scaled, divisor, unscaled)
            SELECT {{account:UUID}}, metric, node, '', at, toInt64(round(mean * 100)), 100, 0 FROM ({source})"""
    return _insert_rollup(fill.tier, fill.step_s, "''", source)


def _insert_many(end_s: int) -> str:
    return _insert_rollup("samples_1h", 3_600, "labelset", _of_many(end_s, 3_600, 0))


def _insert_largest(end_s: int) -> str:
    return _insert_rollup("samples_1m", 60, "labelset", _of_many(end_s, 60, LARGEST_SEED))


def _of_many(end_s: int, step_s: int, least_seed: int) -> str:
    """31 days of the one metric's series whose seed is not smaller; who is on top hangs on the seed alone."""
    return f"""
        SELECT
            '{MANY}'                                                                      AS metric,
            node,
            labelset,
            seed,
            toDateTime({end_s - 31 * DAY_S} + number * {step_s}, 'UTC')                   AS at,
            sin(toUnixTimestamp(at) / 13751 + seed) / 50                                  AS wave,
            round(1 + seed / 10 + wave + intHash32(number) % 100 / 2000, 2)               AS mean,
            0.5                                                                           AS spread
        FROM
        (
            SELECT
                node,
                concat('endpoint="/v1/', leftPad(toString(endpoint), 3, '0'), '"')        AS labelset,
                cityHash64(node, labelset) % 1000                                         AS seed
            FROM (SELECT arrayJoin({_text_array(MANY_NODES)}) AS node) AS nodes
            CROSS JOIN (SELECT number AS endpoint FROM numbers({ENDPOINTS})) AS endpoints
            WHERE seed >= {least_seed}
        ) AS series
        CROSS JOIN numbers({31 * DAY_S // step_s}) AS buckets"""


def _insert_rollup(tier: str, step_s: int, labelset: str, source: str) -> str:
    count = step_s // RAW_S
    return f"""INSERT INTO {tier} (account, metric, node, labelset, ts, min, max, sum, count, last)
        SELECT {{account:UUID}}, metric, node, {labelset}, at, mean - spread, mean + spread, mean * {count}, {count},
               (toDateTime64(at, 3, 'UTC') + {step_s - RAW_S}, mean)
        FROM ({source})"""


def _series(end_s: int) -> Iterator[str]:
    newest = f"(toDateTime64({int(time.time())}, 3, 'UTC'), 50)"
    into = "INSERT INTO series (account, node, metric, labelset, first_ts, last)"
    yield f"""{into} SELECT {{account:UUID}}, node, metric, '', toDateTime64({end_s - 365 * DAY_S}, 3, 'UTC'), {newest}
        FROM (SELECT arrayJoin({_text_array(NODES)}) AS node, arrayJoin({_text_array(METRICS)}) AS metric)"""
    yield f"""{into} SELECT {{account:UUID}}, node, '{MANY}',
               concat('endpoint="/v1/', leftPad(toString(n), 3, '0'), '"'),
               toDateTime64({end_s - 31 * DAY_S}, 3, 'UTC'), {newest}
        FROM (SELECT arrayJoin({_text_array(MANY_NODES)}) AS node, arrayJoin(range({ENDPOINTS})) AS n)"""


def _text_array(texts: Sequence[str]) -> str:
    """Texts of ours alone: none holds a quote."""
    return f"[{', '.join(repr(text) for text in texts)}]"
