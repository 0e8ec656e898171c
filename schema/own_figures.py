"""Figures of the platform that no single API process has: of worker and scheduler, of queues, of ClickHouse's tables.

Background processes have no port. They keep what they count in one hash of Redis, and whoever is asked for figures
tells theirs, too. A process that has not renewed its own for a minute is gone, and so is what it counted.
"""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from typing import Any, Final

import msgspec
import redis
import redis.asyncio

from domain import metering
from domain.metering import Family, Point
from schema import keys
from schema.clickhouse_client import ClickHouse
from schema.lua import redis_faults

KEEP_EVERY_S: Final = 10.0
FRESH_S: Final = 60.0
PROCESSES_MAX: Final = 64
"""So many processes' figures are told; those of others are left out."""
_RQ_QUEUE, _RQ_FAILED, _RQ_JOB = "rq:queue:", "rq:failed:", "rq:job:"
"""RQ's own names, as its library has them: that would be 10 MB more in each API process."""
_TABLES: Final = (files("schema") / "queries" / "own_tables.sql").read_text("utf-8")


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What one process has counted; `process` is "worker" or "scheduler"."""

    process: str
    host: str
    at_s: float
    families: tuple[Family, ...]


@dataclass(frozen=True, slots=True)
class Queue:
    """An RQ queue: jobs that wait, for how long the first of them does, jobs that failed for good of late."""

    name: str
    depth: int
    oldest_s: float
    failed: int


def keep(client: redis.Redis, process: str, families: Sequence[Family], now_s: float) -> None:
    """Renew this process's figures. Raises StoreUnavailable."""
    kept = Kept(process, host(), now_s, tuple(families))
    with redis_faults(), client.pipeline(transaction=False) as pipeline:
        pipeline.hset(keys.FIGURES, f"{process}/{host()}/{os.getpid()}", msgspec.msgpack.encode(kept))
        pipeline.expire(keys.FIGURES, int(FRESH_S) * 10)
        pipeline.execute()


async def kept(client: redis.asyncio.Redis, now_s: float) -> list[Kept]:
    """The figures of all background processes that live; those of others are thrown away. Raises StoreUnavailable."""
    with redis_faults():
        stored: Any = await client.hgetall(keys.FIGURES)
        found = {field: _decode(value) for field, value in stored.items()}
        old = [field for field, one in found.items() if one is None or now_s - one.at_s > FRESH_S]
        if old:
            await client.hdel(keys.FIGURES, *old)
    fresh = [one for field, one in sorted(found.items()) if one is not None and field not in old]
    return fresh[:PROCESSES_MAX]


async def queues(client: redis.asyncio.Redis, now_s: float) -> list[Queue]:
    """Every RQ queue. Raises StoreUnavailable."""
    with redis_faults():
        async with client.pipeline(transaction=False) as pipeline:
            for name in keys.QUEUES:
                pipeline.llen(f"{_RQ_QUEUE}{name}")
                pipeline.lindex(f"{_RQ_QUEUE}{name}", 0)
                pipeline.zcard(f"{_RQ_FAILED}{name}")
            found: list[Any] = await pipeline.execute()
        listed = [(name, *found[3 * n : 3 * n + 3]) for n, name in enumerate(keys.QUEUES)]
        return [
            Queue(name, depth, await _waiting_s(client, first, now_s), failed) for name, depth, first, failed in listed
        ]


def of_queues(found: Sequence[Queue]) -> Iterator[Family]:
    """As figures."""
    by_name = {queue.name: queue for queue in found}

    def told(name: str, says: str, figure: str) -> Family:
        return metering.gauges(name, says, "queue", {key: getattr(one, figure) for key, one in by_name.items()})

    yield told("metrist_queue_jobs", "Jobs that wait", "depth")
    yield told("metrist_queue_oldest_seconds", "For how long the first of them has waited", "oldest_s")
    yield told("metrist_queue_failed_jobs", "Jobs that failed for good within the hour", "failed")


def tables(clickhouse: ClickHouse) -> list[Family]:
    """Parts, rows, bytes and merges of our tables. Raises StoreUnavailable, DatabaseError."""
    rows = clickhouse.query(_TABLES, settings={"max_execution_time": 5}).result_rows

    def told(name: str, says: str, column: int) -> Family:
        return Family(name, "gauge", says, tuple(Point(float(row[column]), {"table": str(row[0])}) for row in rows))

    return [
        told("metrist_table_parts", "Active parts in ClickHouse", 1),
        told("metrist_table_rows", "Rows in them", 2),
        told("metrist_table_bytes", "Bytes of them on disk", 3),
        told("metrist_table_merges", "Merges that run now", 4),
        told("metrist_table_parts_of_partition", "Active parts of the partition that has most", 5),
    ]


def host() -> str:
    """What this machine calls itself."""
    return platform.node() or "localhost"


async def _waiting_s(client: redis.asyncio.Redis, job_id: bytes | None, now_s: float) -> float:
    if job_id is None:
        return 0.0
    told: Any = await client.hget(f"{_RQ_JOB}{job_id.decode()}", "enqueued_at")
    if not told:
        return 0.0
    since = datetime.fromisoformat(told.decode().replace("Z", "+00:00")).timestamp()
    return max(0.0, now_s - since)


def _decode(value: bytes) -> Kept | None:
    """None for what another release wrote in another shape."""
    try:
        return msgspec.msgpack.decode(value, type=Kept)
    except msgspec.MsgspecError:
        return None
