"""What came late, a short stream for each account in Redis, for graphs that say so: lost with it, gone after a day."""

from collections.abc import Iterable
from typing import Any

import msgspec
import redis
import redis.asyncio

from domain.ids import AccountId
from domain.lateness import Late
from schema import keys
from schema.lua import redis_faults

KEPT = 500
KEPT_S = 86_400

_FIELD = b"late"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Late).decode


async def write(client: redis.asyncio.Redis, found: Iterable[tuple[AccountId, Late]]) -> None:
    """Keep these, in one round trip. Raises StoreUnavailable."""
    async with client.pipeline(transaction=False) as pipeline:
        for account_id, late in found:
            key = keys.lateness(account_id)
            pipeline.xadd(key, {_FIELD: _encode(late)}, maxlen=KEPT, approximate=False)
            pipeline.expire(key, KEPT_S)
        with redis_faults():
            await pipeline.execute()


async def read(client: redis.asyncio.Redis, account_id: AccountId) -> list[Late]:
    """All that is kept, in the order in which it came. Raises StoreUnavailable."""
    with redis_faults():
        found: Any = await client.xrange(keys.lateness(account_id), count=KEPT)
    return [_decode(fields[_FIELD]) for _, fields in found]


def forget(client: redis.Redis, account_id: AccountId, node: str) -> None:
    """Drop what is kept of one node."""
    key = keys.lateness(account_id)
    found: Any = client.xrange(key, count=KEPT)
    if gone := [entry_id for entry_id, fields in found if _decode(fields[_FIELD]).node == node]:
        client.xdel(key, *gone)
