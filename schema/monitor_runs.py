"""What nodes reported of their monitors, in Redis: the last run of each, and what trial runs found.

All of it comes again by itself with the next runs, or with another trial; until then pages read schema/run_history.py.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import redis
import redis.asyncio

from domain import monitor_runs as rules
from domain.ids import AccountId
from domain.monitor_runs import Record, Report
from schema import keys
from schema.lua import redis_faults

KEEP_S = 7 * 86_400
"""How long it is told what the last run was, after the last one of any node."""
TRIAL_KEEP_S = 900

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode
_decode_trial = msgspec.msgpack.Decoder(Report).decode

Runs = dict[str, Record]
"""Node → the last run."""


async def note(
    client: redis.asyncio.Redis, account_id: AccountId, node: str, reports: Sequence[Report], heard_ms: int
) -> list[tuple[UUID, Record]]:
    """Remember what a node reports; reports of one node come one request after the other.

    Returns what is to be kept for longer. Raises StoreUnavailable.
    """
    kept: list[tuple[UUID, Record]] = []
    runs = [report for report in reports if report.trial is None]
    ids = sorted({report.id for report in runs})
    with redis_faults():
        async with client.pipeline(transaction=False) as pipeline:
            for monitor_id in ids:
                pipeline.hget(keys.monitor_runs(account_id, monitor_id), node)
            found = await pipeline.execute()
        known = {monitor_id: _decode(packed) for monitor_id, packed in zip(ids, found, strict=True) if packed}
        newest_at = max((report.at for report in runs), default=0.0)
        for report in sorted(runs, key=lambda one: one.at):
            then_ms = heard_ms - int((newest_at - report.at) * 1000)  # as if it had been told when it came to its end
            before = known.get(report.id)
            after = known[report.id] = rules.merge(before, report, then_ms)
            if after is not before and rules.is_worth_keeping(before, after):
                kept.append((UUID(report.id), after))
        async with client.pipeline(transaction=False) as pipeline:
            for monitor_id in ids:
                key = keys.monitor_runs(account_id, monitor_id)
                pipeline.hset(key, node, _encode(known[monitor_id]))
                pipeline.expire(key, KEEP_S)
            for report in reports:
                if report.trial is not None:
                    pipeline.set(keys.trial(account_id, node, report.trial), _encode(report), ex=TRIAL_KEEP_S)
            await pipeline.execute()
    return kept


async def trial(client: redis.asyncio.Redis, account_id: AccountId, node: str, command_id: str) -> Report | None:
    """What a trial run found; None while it has not been told. Raises StoreUnavailable."""
    with redis_faults():
        found: Any = await client.get(keys.trial(account_id, node, command_id))
    return _decode_trial(found) if found else None


async def read(client: redis.asyncio.Redis, account_id: AccountId, monitor_ids: Sequence[UUID]) -> dict[UUID, Runs]:
    """The last runs of some monitors, by node. Raises StoreUnavailable."""
    if not monitor_ids:
        return {}
    with redis_faults():
        async with client.pipeline(transaction=False) as pipeline:
            for monitor_id in monitor_ids:
                pipeline.hgetall(keys.monitor_runs(account_id, str(monitor_id)))
            found = await pipeline.execute()
    return {monitor_id: _runs(told) for monitor_id, told in zip(monitor_ids, found, strict=True)}


def read_sync(client: redis.Redis, account_id: AccountId, monitor_id: UUID) -> Runs:
    """The same of one monitor, for workers."""
    with redis_faults():
        return _runs(client.hgetall(keys.monitor_runs(account_id, str(monitor_id))))


async def forget(client: redis.asyncio.Redis, account_id: AccountId, monitor_id: UUID) -> None:
    """Begin to count anew, for a version that is pushed again or a monitor that is no more. Raises StoreUnavailable."""
    with redis_faults():
        await client.delete(keys.monitor_runs(account_id, str(monitor_id)))


async def tell_changed(client: redis.asyncio.Redis, account_id: AccountId) -> None:
    """Have every API process look anew at what the account's nodes are to run. Raises StoreUnavailable."""
    with redis_faults():
        await client.publish(keys.MONITORS_CHANGED, str(account_id))


def tell_changed_sync(client: redis.Redis, account_id: AccountId) -> None:
    """The same from a worker."""
    with redis_faults():
        client.publish(keys.MONITORS_CHANGED, str(account_id))


def _runs(told: Mapping[Any, Any]) -> Runs:
    return {node.decode(): _decode(packed) for node, packed in told.items()}
