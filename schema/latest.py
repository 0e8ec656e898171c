"""The latest readings of groups that are not ok, in Redis, for pages: recorded are only those that made a change."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import redis
import redis.asyncio

from domain.evaluation import Group
from domain.ids import AccountId
from schema import keys
from schema.lua import redis_faults

KEPT_S = 3_600

Latest = tuple[float | None, datetime]


class _Kept(msgspec.Struct, array_like=True):
    value: float | None
    at_ms: int


_decode = msgspec.msgpack.Decoder(_Kept).decode


def keep(client: redis.Redis, account_id: AccountId, found: Iterable[tuple[UUID, Group, Latest]]) -> None:
    """Remember them for a while. Raises StoreUnavailable."""
    kept: Any = {
        field_of(condition_id, group): msgspec.msgpack.encode(_Kept(value, int(at.timestamp() * 1000)))
        for condition_id, group, (value, at) in found
    }
    if kept:
        with redis_faults(), client.pipeline(transaction=False) as pipeline:
            pipeline.hset(keys.readings(account_id), mapping=kept)
            pipeline.expire(keys.readings(account_id), KEPT_S)
            pipeline.execute()


async def read(client: redis.asyncio.Redis, account_id: AccountId, fields: list[str]) -> Mapping[str, Latest]:
    """What is remembered of these. Raises StoreUnavailable."""
    if not fields:
        return {}
    with redis_faults():
        found: Any = await client.hmget(keys.readings(account_id), fields)
    return {field: _latest(kept) for field, kept in zip(fields, found, strict=True) if kept}


def field_of(condition_id: UUID, group: Group) -> str:
    """A group's name among an account's readings."""
    return f"{condition_id}:{group.sha256}"


def _latest(packed: bytes) -> Latest:
    kept = _decode(packed)
    return kept.value, datetime.fromtimestamp(kept.at_ms / 1000, UTC)
