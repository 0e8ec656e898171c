"""A batch counts once, whatever has died since: its process, Redis, or both."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import redis
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from schema import keys
from schema.batches import Batches
from tests.valkey_server import Calls, Valkey

ACCOUNT, MEMORY_S = "6f1c1a6e-7f0d-4a52-9e0e-0d5f6c1f0a01", 600
NAMES = [f"b{number}" for number in range(3)]
Work = Callable[[redis.asyncio.Redis], Awaitable[object]]


@pytest.fixture
def calls(valkey: Valkey, redis_sync: redis.Redis) -> Calls:
    return Calls(valkey, redis_sync)


def stored_and_inserted(folder: Path) -> Work:
    """Batches are stored, Redis learns of them, their segment is inserted; then the process is no more."""

    async def work(client: redis.asyncio.Redis) -> None:
        batches = Batches(client, MEMORY_S, folder)
        telling = asyncio.create_task(batches.flush_forever())
        for name in NAMES:
            assert await batches.claim(ACCOUNT, name)
            batches.settle(ACCOUNT, name)
        while not all([await client.get(keys.batch(ACCOUNT, name)) == b"s" for name in NAMES]):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        batches.keep("segment-1", [(ACCOUNT, name) for name in NAMES])
        telling.cancel()

    return work


def claims(folder: Path) -> Work:
    async def work(client: redis.asyncio.Redis) -> list[bool]:
        batches = Batches(client, MEMORY_S, folder)
        return [await batches.claim(ACCOUNT, name) for name in [*NAMES, "new"]]

    return work


def without_redis(work: Work) -> object:
    async def run() -> object:
        retry = Retry(NoBackoff(), 0)
        async with redis.asyncio.Redis(port=1, socket_connect_timeout=1, retry=retry) as client:
            return await work(client)

    return asyncio.run(run())


def test_a_successor_knows_what_was_stored_while_redis_does_not_answer(calls: Calls, tmp_path: Path) -> None:
    calls.run(stored_and_inserted(tmp_path))
    assert without_redis(claims(tmp_path)) == [False, False, False, True]


def test_a_successor_knows_what_was_stored_when_redis_has_lost_all(calls: Calls, tmp_path: Path) -> None:
    calls.run(stored_and_inserted(tmp_path))
    calls.sync.flushall()
    assert calls.run(claims(tmp_path)) == [False, False, False, True]


def test_another_process_knows_by_redis(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "00").mkdir()
    (tmp_path / "01").mkdir()
    calls.run(stored_and_inserted(tmp_path / "00"))
    assert calls.run(claims(tmp_path / "01")) == [False, False, False, True]


def test_ids_that_redis_never_had_are_told_to_it_later(calls: Calls, tmp_path: Path) -> None:
    async def stored(client: redis.asyncio.Redis) -> None:
        batches = Batches(client, MEMORY_S, tmp_path)
        for name in NAMES:
            assert await batches.claim(ACCOUNT, name)
            batches.settle(ACCOUNT, name)
        batches.keep("segment-1", [(ACCOUNT, name) for name in NAMES])

    async def told(client: redis.asyncio.Redis) -> list[object]:
        telling = asyncio.create_task(Batches(client, MEMORY_S, tmp_path).flush_forever())
        while any(name.endswith(".batches") for name in os.listdir(tmp_path)):  # noqa: ASYNC110, PTH208
            await asyncio.sleep(0.01)
        telling.cancel()
        return [await client.get(keys.batch(ACCOUNT, name)) for name in NAMES]

    without_redis(stored)
    assert calls.run(told) == [b"s"] * 3
