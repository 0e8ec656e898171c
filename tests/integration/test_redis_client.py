"""The client of requests survives what Redis's end does to its connections."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvloop
from redis.asyncio import Redis

from domain.settings import Settings
from schema.redis_client import open_redis
from tests.valkey_server import Valkey

RUNS: dict[str, Callable[..., None]] = {"uvloop": uvloop.run, "asyncio": asyncio.run}


@pytest.mark.parametrize("loop", RUNS)
def test_a_connection_that_was_closed_a_moment_ago_is_made_anew(
    valkey: Valkey, loop: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(client: Redis, ask: Callable[[], Awaitable[object]]) -> object:
        await client.set("kept", 1)
        (connection,) = client.connection_pool._available_connections
        assert connection._writer
        connection._writer.transport.abort()  # as the end of Redis does, before the loop has told anybody
        return await ask()

    async def go() -> None:
        settings = Settings(_env_file=None, redis_url=valkey.url)
        client = open_redis(settings)
        try:
            assert await use(client, lambda: client.get("kept")) == b"1"
            pipeline = client.pipeline(transaction=False)
            pipeline.incr("kept")
            pipeline.get("kept")
            assert await use(client, pipeline.execute) == [2, b"2"]
        finally:
            await client.aclose()

    RUNS[loop](go())
