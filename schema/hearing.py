"""When we could hear nodes: the signs of those who take pings, and the outages between them."""

from typing import Any

import redis
import redis.asyncio

from domain.liveness import Hearing
from schema import keys
from schema.lua import Lua, redis_faults

SIGN_EVERY_S = 2.0
"""How often a process that takes pings says so."""
GAP_MS = 5_000
"""So long without a sign is an outage. Clocks of API replicas must agree better than this."""
GAP_AT_START_MS = 2_500
KEEP_MS = 7 * 86_400_000
_HEARING = Lua("hearing")


async def sign(client: redis.asyncio.Redis, now_ms: int, *, is_first: bool = False) -> int:
    """Say that we take pings; returns since when that holds without a break, Unix ms. Raises StoreUnavailable."""
    gap = GAP_AT_START_MS if is_first else GAP_MS
    since: int = await _HEARING.run(client, [keys.HEARING, keys.OUTAGES], [now_ms, gap, int(is_first), KEEP_MS])
    return since


async def outages(client: redis.asyncio.Redis) -> list[tuple[int, int]]:
    """When nobody took pings, [from, to) in Unix ms, of the last week. Raises StoreUnavailable."""
    with redis_faults():
        found: Any = await client.zrange(keys.OUTAGES, 0, -1)
    return [_outage(outage) for outage in found]


def read(client: redis.Redis) -> Hearing | None:
    """What is known; None before the first sign, or after Redis lost it. Raises StoreUnavailable."""
    with redis_faults(), client.pipeline(transaction=True) as pipeline:
        pipeline.hmget(keys.HEARING, ["at", "since"])
        pipeline.zrange(keys.OUTAGES, 0, -1)
        (at, since), outages = pipeline.execute()
    if at is None or since is None:
        return None
    return Hearing(int(at), int(since), [_outage(outage) for outage in outages])


def _outage(text: bytes) -> tuple[int, int]:
    start, _, end = text.partition(b"-")
    return int(start), int(end)
