"""Runs of monitors on their way to ClickHouse: a few seconds' worth becomes one INSERT, and no request waits for it.

What is in here when the process is killed is lost, and with it nothing that the next runs do not tell again.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import uuid4

from starlette.datastructures import State

from api.seldom import Seldom
from domain.errors import MetristError
from schema import run_history
from schema.clickhouse_client import ClickHouse, ClickHouseError
from schema.run_history import Run

EVERY_S = 3.0
AT_ONCE = 5_000
WAITING_MAX = 50_000
"""While ClickHouse is away; then the oldest go."""


class RunKeeper:
    """What one process has been told and not stored yet."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._waiting: deque[Run] = deque(maxlen=WAITING_MAX)
        self._seldom = Seldom()

    def add(self, runs: Sequence[Run]) -> None:
        self._waiting.extend(runs)

    async def store_forever(self) -> None:
        """Store what has come, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.store()

    async def store(self) -> None:
        """Store what has come; what cannot be stored now waits for the next time."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            try:
                await asyncio.to_thread(run_history.insert, self._clickhouse, batch, f"runs-{uuid4()}")
            except (MetristError, ClickHouseError, OSError) as error:
                self._seldom.warn("runs_not_stored", error)
                room = WAITING_MAX - len(self._waiting)
                self._waiting.extendleft(reversed(batch[-room:] if room else []))
                return


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """`state.run_keeper` while the process serves; at its end what has come is stored, if ClickHouse is there."""
    keeper = state.run_keeper = RunKeeper(state.stores.clickhouse)
    storing = asyncio.create_task(keeper.store_forever())
    try:
        yield
    finally:
        storing.cancel()
        await asyncio.gather(storing, return_exceptions=True)
        await keeper.store()
