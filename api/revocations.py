"""Hears which API keys are revoked anywhere, so that each ends in this process at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from redis.exceptions import RedisError
from starlette.datastructures import State

from api.auth import KeyCache
from api.seldom import Seldom
from domain.ids import KeyId
from schema import keys

_RETRY_S = 1.0
_LISTEN_S = 30.0


@asynccontextmanager
async def heard(state: State) -> AsyncIterator[None]:
    """Have `state.keys` hear of them while the process serves."""
    listening = asyncio.create_task(listen_forever(state.stores.redis, state.keys))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def listen_forever(client: redis.asyncio.Redis, cache: KeyCache) -> None:
    """End keys as they are revoked, until cancelled.

    What is revoked while Redis is away ends when the cache reads its entry again: `KeyCache`.
    """
    seldom = Seldom()
    while True:
        try:
            await _listen(client, cache)
        except (RedisError, OSError) as error:
            seldom.warn("revocations_not_heard", error)
        await asyncio.sleep(_RETRY_S)


async def _listen(client: redis.asyncio.Redis, cache: KeyCache) -> None:
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(keys.KEY_REVOKED)
        while True:
            message = await pubsub.get_message(timeout=_LISTEN_S)
            if message is not None:
                cache.end(KeyId(message["data"].decode(errors="replace")))
