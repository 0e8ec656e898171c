"""The latest statuses that agents and monitors have reported, in Redis: what they say, and when they last said it.

A change of level is recorded at once (schema/statuses.py); what is here tells whether it still holds. Redis may lose
it: the next report brings it again, and until then what is recorded stands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import redis
import redis.asyncio

from domain.condition_specs import Level
from domain.evaluation import Group
from domain.ids import AccountId
from schema import keys
from schema.lua import redis_faults

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Report:
    """What was last said of one group of a condition."""

    condition_id: UUID
    group: Group
    level: Level
    message: str
    at: datetime

    @property
    def field(self) -> str:
        return f"{self.condition_id}:{self.group.sha256}"


class _Kept(msgspec.Struct, array_like=True):
    labels: dict[str, str]
    level: Level
    message: str
    at_ms: int


_decode = msgspec.msgpack.Decoder(_Kept).decode


async def latest(client: redis.asyncio.Redis, account_id: AccountId, fields: list[str]) -> dict[str, Report]:
    """What is kept of these fields. Raises StoreUnavailable."""
    if not fields:
        return {}
    with redis_faults():
        found: Any = await client.hmget(keys.reports(account_id), fields)
    return {field: _report(field, kept) for field, kept in zip(fields, found, strict=True) if kept}


async def keep(client: redis.asyncio.Redis, account_id: AccountId, reports: Iterable[Report]) -> None:
    """Remember what was said now. Raises StoreUnavailable."""
    kept: Any = {report.field: _packed(report) for report in reports}
    if not kept:
        return
    key = keys.reports(account_id)
    with redis_faults():
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.hset(key, mapping=kept)
            pipeline.expire(key, FORGOTTEN_AFTER)
            await pipeline.execute()


def all_of(client: redis.Redis, account_id: AccountId) -> Mapping[UUID, list[Report]]:
    """By condition, all that is kept of an account. Raises StoreUnavailable."""
    with redis_faults():
        kept: Any = client.hgetall(keys.reports(account_id))
    found: dict[UUID, list[Report]] = {}
    for field, packed in kept.items():
        report = _report(field.decode(), packed)
        found.setdefault(report.condition_id, []).append(report)
    return found


def forget(client: redis.Redis, account_id: AccountId, fields: Iterable[str]) -> None:
    """What has not been said for long is not missed any more. Raises StoreUnavailable."""
    gone = list(fields)
    if gone:
        with redis_faults():
            client.hdel(keys.reports(account_id), *gone)


def _packed(report: Report) -> bytes:
    at_ms = int(report.at.timestamp() * 1000)
    return msgspec.msgpack.encode(_Kept(dict(report.group.labels), report.level, report.message, at_ms))


def _report(field: str, packed: bytes) -> Report:
    condition_id, _, sha256 = field.partition(":")
    kept = _decode(packed)
    at = datetime.fromtimestamp(kept.at_ms / 1000, UTC)
    return Report(UUID(condition_id), Group(sha256, kept.labels), kept.level, kept.message, at)
