"""Keep the badges of open dashboards current: one look at an account's statuses for all who show some of them."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import to_thread

from dashboards.following import Following, heard
from dashboards.node_list.looks import AWAY
from domain.ids import AccountId
from schema.stores import Stores
from schema.unwell import Unwell

LOOK_EVERY_S = 5.0
"""A look costs one small question while nothing has changed; the channel of events makes it come sooner."""
REST_S = 0.25
"""Statuses that change one after the other are read together."""


class UnwellWatch(Following[asyncio.Event]):
    """What is not ok in one account, while somebody follows."""

    def __init__(self, stores: Stores, account_id: AccountId) -> None:
        super().__init__(account_id)
        self.unwell = Unwell(stores.control, account_id)
        self._redis = stores.redis
        self._told, self._looking = asyncio.Event(), asyncio.Lock()

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
        async with self.following(woken):
            woken.set()
            yield

    def works(self) -> Iterable[Coroutine[Any, Any, None]]:
        return self._listen(), self._look_forever()

    async def _listen(self) -> None:
        async for told in heard(self._redis, self._account_id):
            if told in ("", "status"):
                self._told.set()

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
