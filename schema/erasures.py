"""What is to be erased from ClickHouse and Redis: all of an account, or one node with its samples.

The control DB remembers it until nothing is left. An erasure passes when a look finds nothing; it is looked at again
ten minutes, an hour and a day later, for samples that were acknowledged before and lay in a spool (ADR 0007).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import files
from typing import Any

import redis
from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from domain.ids import AccountId
from schema import cluster, keys, lateness
from schema.clickhouse_client import ClickHouse
from schema.control.engine import reading
from schema.control.tables import erasures, nodes
from schema.lua import redis_faults

AGAIN = (timedelta(minutes=10), timedelta(hours=1), timedelta(days=1))
"""After each look that found nothing, the next one; the look after the last of them ends the erasure."""
PAUSE_LEAST, PAUSE_MOST = timedelta(seconds=5), timedelta(minutes=10)
AT_ONCE = 500

_BEFORE_SAMPLES = "ts <= fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')"
_BEFORE_MINUTES = "ts < toStartOfMinute(fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC'))"
_BEFORE_HOURS = "ts < toStartOfHour(fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC'))"
_BEFORE_SERIES = "tupleElement(last, 1) <= fromUnixTimestamp64Milli({until_ms:Int64}, 'UTC')"
TABLES: Mapping[str, str] = {
    "samples": _BEFORE_SAMPLES,
    "samples_1m": _BEFORE_MINUTES,
    "samples_1h": _BEFORE_HOURS,
    "series": _BEFORE_SERIES,
    "node_events": _BEFORE_SAMPLES,
    "monitor_runs": _BEFORE_SAMPLES,
}
"""Each ClickHouse table that keeps something of an account, and which of its rows are wholly before an instant."""


_OF_A_NODE = (keys.queue, keys.commands, keys.live_viewers, keys.live_ask, keys.recording)


@dataclass(frozen=True, slots=True)
class Erasure:
    """Something to erase; `node` is empty for all of the account."""

    account_id: AccountId
    node: str
    asked_at: datetime
    due_at: datetime
    passes: int
    attempts: int


def ask(conn: Connection, account_id: AccountId, node: str, now: datetime) -> None:
    """Have an account (node "") or a node erased, within the caller's transaction; asked anew, it begins anew."""
    asked = {"account_id": account_id, "node": node}
    begun = {"asked_at": now, "due_at": now, "passes": 0, "attempts": 0}
    if conn.execute(update(erasures).where(_is(account_id, node)).values(begun)).rowcount == 0:
        conn.execute(insert(erasures).values(**asked, **begun))


def due(engine: Engine, now: datetime, at_most: int) -> Sequence[Erasure]:
    """Those to look at now, the longest due first."""
    query = select(erasures).where(erasures.c.due_at <= now).order_by(erasures.c.due_at).limit(at_most)
    with reading(engine) as conn:
        return [Erasure(**row) for row in conn.execute(query).mappings()]


def unfinished(engine: Engine) -> set[AccountId]:
    """Accounts of which something may be erased just now: no look has found nothing yet."""
    with reading(engine) as conn:
        return {AccountId(found) for found in conn.scalars(select(erasures.c.account_id).where(erasures.c.passes == 0))}


def passed(engine: Engine, erasure: Erasure, now: datetime) -> None:
    """Nothing was left: look again later, or be done with it."""
    this = _is_same(erasure)
    with engine.begin() as conn:
        if erasure.passes == len(AGAIN):
            conn.execute(delete(erasures).where(this))
            return
        later = {"passes": erasure.passes + 1, "attempts": 0, "due_at": now + AGAIN[erasure.passes]}
        conn.execute(update(erasures).where(this).values(later))


def postpone(engine: Engine, erasure: Erasure, now: datetime) -> None:
    """Something is left, or a store is away: look again, later with each time."""
    pause = min(PAUSE_MOST, PAUSE_LEAST * 2 ** min(erasure.attempts, 10))
    later = {"attempts": erasure.attempts + 1, "due_at": now + pause}
    with engine.begin() as conn:
        conn.execute(update(erasures).where(_is_same(erasure)).values(later))


def is_back(engine: Engine, erasure: Erasure) -> bool:
    """Whether a node of this name reports again: then what it sends since is not to be erased."""
    named = (nodes.c.account_id == erasure.account_id) & (nodes.c.name == erasure.node)
    with reading(engine) as conn:
        return conn.scalar(select(nodes.c.id).where(named)) is not None


def erase_samples(clickhouse: ClickHouse, erasure: Erasure, *, only_before: bool) -> bool:
    """Have every tier drop it; True when nothing is there any more.

    only_before  of a node that is back: rows wholly from before the erasure was asked for

    A mutation rewrites the parts in the background, and however long that takes, nobody waits here: what is left is
    asked of the engine itself, so a mutation is begun once, and again for what was inserted behind it.
    """
    left = [table for table in TABLES if _has_rows(clickhouse, table, erasure, only_before)]
    for table in left:
        if not _is_mutating(clickhouse, table, erasure):
            _run(clickhouse, "erase", table, erasure, only_before, mutations_sync=0)
    return not left


def erase_liveness(client: redis.Redis, erasure: Erasure) -> None:
    """Drop every key of the account, or what is kept of the node. Raises StoreUnavailable."""
    with redis_faults():
        if erasure.node:
            _erase_node(client, erasure.account_id, erasure.node)
        else:
            _erase_account(client, erasure.account_id)


def _has_rows(clickhouse: ClickHouse, table: str, erasure: Erasure, only_before: bool) -> bool:
    return bool(_run(clickhouse, "erase_left", table, erasure, only_before))


def _is_mutating(clickhouse: ClickHouse, table: str, erasure: Erasure) -> bool:
    about = {"table": cluster.stored(table, clickhouse.cluster), "account": str(erasure.account_id)}
    sql = _SQL["erase_running"].replace("system.mutations", cluster.on_all("system.mutations", clickhouse.cluster))
    return bool(clickhouse.query(sql, about).result_rows)


def _run(
    clickhouse: ClickHouse, query: str, table: str, erasure: Erasure, only_before: bool, **settings: int
) -> Sequence[Any]:
    rows = ["account = {account:UUID}"]
    rows += ["node = {node:String}"] if erasure.node else []
    rows += [TABLES[table]] if only_before else []
    sql = _SQL[query].replace("/*table*/", table).replace("/*rows*/", " AND ".join(rows))
    until_ms = int(erasure.asked_at.timestamp() * 1000)
    about = {"account": str(erasure.account_id), "node": erasure.node, "until_ms": until_ms}
    if query == "erase":
        (sql,) = cluster.rendered(sql, clickhouse.cluster, clickhouse.database)
    found: Sequence[Any] = clickhouse.query(sql, about, settings=settings).result_rows
    return found


def _erase_account(client: redis.Redis, account_id: AccountId) -> None:
    """Whatever carries the account's hash tag; a SCAN blocks nobody, however many keys others have."""
    found: list[bytes] = []
    for key in client.scan_iter(match=f"*{{{account_id}}}*", count=AT_ONCE):
        found.append(key)
        if len(found) == AT_ONCE:
            client.unlink(*found)
            found.clear()
    if found:
        client.unlink(*found)


def _erase_node(client: redis.Redis, account_id: AccountId, node: str) -> None:
    client.hdel(keys.nodes(account_id), node)
    client.zrem(keys.deadlines(account_id), node)
    client.unlink(*(key(account_id, node) for key in _OF_A_NODE))
    lateness.forget(client, account_id, node)
    for key in client.scan_iter(match=keys.monitor_runs(account_id, "*"), count=AT_ONCE):
        client.hdel(key, node)


def _is(account_id: AccountId, node: str) -> ColumnElement[bool]:
    return (erasures.c.account_id == account_id) & (erasures.c.node == node)


def _is_same(erasure: Erasure) -> ColumnElement[bool]:
    """This one as it was read: one that was asked for anew meanwhile begins anew."""
    return _is(erasure.account_id, erasure.node) & (erasures.c.asked_at == erasure.asked_at)


_SQL = {
    name: files("schema").joinpath("queries", f"{name}.sql").read_text("utf-8")
    for name in ("erase", "erase_left", "erase_running")
}
