"""Looks at every part that domain/readiness.py names, side by side, each within a time of its own."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis.asyncio
from sqlalchemy import Engine, text
from starlette.datastructures import State

from api.snapshots import Ingest
from domain import readiness
from domain.readiness import Part
from schema import keys, own_figures
from schema.clickhouse_client import ClickHouse

WITHIN_S: Final = 3.0
FRESH_S: Final = 1.0
"""An answer is given again for so long: whoever asks quicker costs the stores nothing."""
BACKGROUND: Final = ("worker", "scheduler")


class Readiness:
    """The parts as they were a moment ago."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asking = asyncio.Lock()
        self._asked_s = -FRESH_S
        self._parts: dict[str, Part] = {}

    async def parts(self) -> dict[str, Part]:
        """Every part, looked at within the last second."""
        async with self._asking:
            if time.monotonic() - self._asked_s >= FRESH_S:
                self._parts = await _look(self._state)
                self._asked_s = time.monotonic()
            return self._parts


async def _look(state: State) -> dict[str, Part]:
    stores = state.stores
    apart_s: dict[str, float] = {}
    found = dict(
        zip(
            (*readiness.STORES, "queue", "background"),
            await asyncio.gather(
                _store("control", lambda: asyncio.to_thread(_control_clock_s, stores.control), apart_s),
                _store("clickhouse", lambda: asyncio.to_thread(_clickhouse_clock_s, stores.clickhouse), apart_s),
                _store("redis", lambda: _redis_clock_s(stores.redis), apart_s),
                _guarded(lambda: _queue(stores.redis)),
                _guarded(lambda: _background(stores.redis)),
            ),
            strict=True,
        )
    )
    return {**found, "spool": _spool(state.ingest), "disk": _disk(state.ingest), "clock": readiness.clock(apart_s)}


async def _store(name: str, ask: Callable[[], Awaitable[float | None]], apart_s: dict[str, float]) -> Part:
    """Ask a store what time it is; its answer is taken to have been true halfway."""
    began = time.perf_counter()
    asked_s = time.time()
    try:
        async with asyncio.timeout(WITHIN_S):
            told_s = await ask()
    except Exception as error:  # any failure of any store is the answer here
        return Part(False, f"it does not answer: {type(error).__name__}")
    took_s = time.perf_counter() - began
    if told_s is not None:
        apart_s[name] = told_s - (asked_s + took_s / 2)
    return Part(True, facts={"took_ms": round(took_s * 1000, 1)})


async def _guarded(look: Callable[[], Awaitable[Part]]) -> Part:
    try:
        async with asyncio.timeout(WITHIN_S):
            return await look()
    except Exception as error:  # as above
        return Part(False, f"it cannot be told: {type(error).__name__}")


def _control_clock_s(engine: Engine) -> float | None:
    """None for SQLite, whose clock is ours."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("SELECT 1"))
            return None
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())


def _clickhouse_clock_s(clickhouse: ClickHouse) -> float:
    return float(str(clickhouse.command("SELECT toUnixTimestamp64Milli(now64(3)) / 1000")))


async def _redis_clock_s(client: redis.asyncio.Redis) -> float:
    seconds, micros = await client.time()
    return float(seconds) + float(micros) / 1_000_000


async def _queue(client: redis.asyncio.Redis) -> Part:
    found = await own_figures.queues(client, time.time())
    return readiness.queue({one.name: one.oldest_s for one in found}, {one.name: one.depth for one in found})


async def _background(client: redis.asyncio.Redis) -> Part:
    found: list[Any] = await client.mget([keys.process_alive(name) for name in BACKGROUND])
    return readiness.background({name: sign is not None for name, sign in zip(BACKGROUND, found, strict=True)})


def _spool(ingest: Ingest) -> Part:
    since = ingest.spool.oldest_s()
    waits_s = max(0.0, time.time() - since) if since else 0.0
    return readiness.spool(waits_s, ingest.spool.pending_bytes, len(ingest.spool.sealed()))


def _disk(ingest: Ingest) -> Part:
    spaces = ingest.room.spaces()
    facts = {f"{one.name}_free_bytes": float(one.free_bytes) for one in spaces}
    facts |= {f"{one.name}_needed_bytes": float(one.needed_bytes) for one in spaces}
    short = [one.name for one in spaces if one.is_short]
    if not short:
        return Part(True, facts=facts)
    return Part(False, f"almost full, so snapshots are refused: free space on the disk of {' and '.join(short)}", facts)
