"""Keep the badges of open dashboards current: one look at an account's statuses for all who show some of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from anyio import to_thread

from dashboards.watch import AWAY, RETRY_S, told_of
from domain.ids import AccountId
from schema import keys
from schema.stores import Stores
from schema.unwell import Unwell

LOOK_EVERY_S = 5.0
"""A look costs one small question while nothing has changed; the channel of events makes it come sooner."""
REST_S = 0.25
"""Statuses that change one after the other are read together."""

log = structlog.get_logger()


class UnwellWatch:
    """What is not ok in one account, while somebody follows."""

    def __init__(self, stores: Stores, account_id: AccountId) -> None:
        self.unwell = Unwell(stores.control, account_id)
        self._redis = stores.redis
        self._account_id = account_id
        self._followers: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self._told, self._looking = asyncio.Event(), asyncio.Lock()

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    async def look(self) -> None:
        """Read what has changed, and wake who follows; while a store is away, what was read last stands."""
        async with self._looking:
            with suppress(*AWAY):
                if await to_thread.run_sync(self.unwell.refresh):
                    for woken in self._followers:
                        woken.set()

    @asynccontextmanager
    async def follow(self, woken: asyncio.Event) -> AsyncIterator[None]:
        """Set the event at once, and whenever something has changed, until the block ends."""
        self._followers.add(woken)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        woken.set()
        try:
            yield
        finally:
            self._followers.discard(woken)
            if not self._followers:
                await self._stop()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen())
                tasks.create_task(self._look_forever())
        except Exception:
            log.exception("unwell_watch_failed", account_id=str(self._account_id))

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub() as channel:
                    await channel.subscribe(keys.events_channel(self._account_id))
                    async for message in channel.listen():
                        if told_of(message) in ("", "status"):
                            self._told.set()
            except AWAY:
                await asyncio.sleep(RETRY_S)

    async def _look_forever(self) -> None:
        while True:
            self._told.clear()
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), LOOK_EVERY_S)
            await asyncio.sleep(REST_S)


def unwell_watch_of(state: Any, account_id: AccountId) -> UnwellWatch:
    """The account's watch in this process, by the app's state; those that nobody follows are let go."""
    known: dict[AccountId, UnwellWatch] = getattr(state, "unwell_watches", {})
    state.unwell_watches = {key: one for key, one in known.items() if one.is_followed}
    kept: dict[AccountId, UnwellWatch] = state.unwell_watches
    return kept.get(account_id) or kept.setdefault(account_id, UnwellWatch(state.stores, account_id))
