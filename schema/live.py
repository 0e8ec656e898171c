"""Live views in Redis: the leases of those who look, what the agent is asked, and the way of its data to them.

Data goes through pub/sub to the API processes whose viewers wait for it, and is gone, unless a recording keeps it.
"""

from typing import NamedTuple

import msgspec
import redis
import redis.asyncio

from domain.errors import Overloaded
from domain.ids import AccountId
from domain.live import Ask, LiveSnapshot, Wish
from schema import keys
from schema.lua import Lua, Value, redis_faults

LEASE_MS = 4_000
"""A viewer that does not renew its lease for so long is gone; its agent stops with its next point after that."""
RENEW_MS = 1_500
VIEWERS_MAX = 100
"""Of one node."""
_LIVE = Lua("live")
_decode_ask = msgspec.json.Decoder(Ask).decode


class Message(msgspec.Struct):
    """What an agent has sent, on its way to viewers; `at_ms` is when it came, by our clock."""

    at_ms: int
    snapshots: list[LiveSnapshot]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode


def decode_ask(found: bytes | str | None) -> Ask | None:
    """What is stored as an ask; None where nothing is."""
    return None if found is None else _decode_ask(found)


async def look(
    client: redis.asyncio.Redis,
    account_id: AccountId,
    viewer: str,
    wish: Wish,
    now_ms: int,
    lasts_ms: int = LEASE_MS,
) -> Ask:
    """Take or renew a lease; a held ping of the node is woken when that changes what its agent is asked.

    Raises Overloaded when too many look at this node, StoreUnavailable.
    """
    found = await _run(client, account_id, viewer, wish, now_ms, lasts_ms)
    if found is None:
        raise Overloaded(f"{VIEWERS_MAX} viewers look at {wish.node} already", headers={"Retry-After": "10"})
    return _decode_ask(found)


def look_sync(client: redis.Redis, account_id: AccountId, viewer: str, wish: Wish, now_ms: int, lasts_ms: int) -> None:
    """As `look`, for the scheduler; one viewer too many is left out. Raises StoreUnavailable."""
    _LIVE.run_sync(client, _keys(account_id, wish), _args(account_id, viewer, wish, now_ms, lasts_ms))


async def leave(client: redis.asyncio.Redis, account_id: AccountId, viewer: str, wish: Wish, now_ms: int) -> None:
    """Give a lease back. Raises StoreUnavailable; it ends by itself, too."""
    await _run(client, account_id, viewer, wish, now_ms, 0)


async def asked(client: redis.asyncio.Redis, account_id: AccountId, node: str) -> Ask | None:
    """What the node's agent is asked just now. Raises StoreUnavailable."""
    with redis_faults():
        return decode_ask(await client.get(keys.live_ask(account_id, node)))


class Published(NamedTuple):
    """What becomes of live data: what is asked now, None when nobody looks; and whether it is to be kept."""

    ask: Ask | None
    is_recorded: bool


async def publish(client: redis.asyncio.Redis, account_id: AccountId, node: str, message: Message) -> Published:
    """Hand data on to whoever looks. Raises StoreUnavailable."""
    with redis_faults():
        async with client.pipeline(transaction=False) as pipeline:
            pipeline.get(keys.live_ask(account_id, node))
            pipeline.exists(keys.recording(account_id, node))
            pipeline.publish(keys.live_channel(account_id, node), encode(message))
            found, recorded, _ = await pipeline.execute()
    return Published(decode_ask(found), bool(recorded))


async def _run(
    client: redis.asyncio.Redis, account_id: AccountId, viewer: str, wish: Wish, now_ms: int, lasts_ms: int
) -> bytes | None:
    args = _args(account_id, viewer, wish, now_ms, lasts_ms)
    found: bytes | None = await _LIVE.run(client, _keys(account_id, wish), args)
    return found


def _keys(account_id: AccountId, wish: Wish) -> list[str]:
    return [keys.live_viewers(account_id, wish.node), keys.live_ask(account_id, wish.node)]


def _args(account_id: AccountId, viewer: str, wish: Wish, now_ms: int, lasts_ms: int) -> list[Value]:
    wake = f"{account_id} {wish.node}"
    return [viewer, now_ms, lasts_ms, VIEWERS_MAX, keys.WAKE, wake, wish.every_ms, *wish.metrics]
