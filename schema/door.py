"""What arrived at an account's door: two short streams in Redis, so that what works never pushes out what does not.

A convenience for whoever connects a node: written without waiting, lost with Redis, gone after an hour.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import msgspec
import redis.asyncio

from domain.door import OUTCOMES, Entry
from domain.ids import AccountId
from schema import keys
from schema.lua import redis_faults

KEPT = 50
KEPT_S = 3_600
START = ("0-0",) * len(OUTCOMES)

Position = tuple[str, ...]
"""How far somebody has read each stream, in the order of OUTCOMES."""

_FIELD = b"entry"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


async def write(client: redis.asyncio.Redis, entries: Sequence[tuple[AccountId, Entry]]) -> None:
    """Keep these, in one round trip. Raises StoreUnavailable."""
    named = sorted(((keys.door(account, entry.outcome), entry) for account, entry in entries), key=lambda pair: pair[0])
    async with client.pipeline(transaction=False) as pipeline:
        for key, some in groupby(named, key=lambda pair: pair[0]):
            for _, entry in some:
                pipeline.xadd(key, {_FIELD: _encode(entry)}, maxlen=KEPT, approximate=False)
            pipeline.expire(key, KEPT_S)
        with redis_faults():
            await pipeline.execute()


async def read(
    client: redis.asyncio.Redis, account_id: AccountId, after: Position = START
) -> tuple[list[Entry], Position]:
    """What came after a position, oldest first, and the position behind it. Raises StoreUnavailable."""
    names = [keys.door(account_id, outcome) for outcome in OUTCOMES]
    with redis_faults():
        found = await client.xread(dict(zip(names, after, strict=True)), count=KEPT)
    records = {_text(name): _records(given) for name, given in _pairs(found)}
    entries = [_decode(fields[_FIELD]) for some in records.values() for _, fields in some]
    position = tuple(
        _text(records[name][-1][0]) if records.get(name) else last for name, last in zip(names, after, strict=True)
    )
    return sorted(entries, key=lambda entry: entry.at), position


def _pairs(found: Any) -> list[tuple[Any, Any]]:
    """redis-py answers with pairs in RESP2 and a dictionary in RESP3."""
    return list(found.items()) if isinstance(found, dict) else list(found or ())


def _records(given: Any) -> list[tuple[bytes, dict[bytes, bytes]]]:
    """RESP3 puts what one key holds into one more list."""
    return list(given[0]) if given and isinstance(given[0], list) else list(given)


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
