"""Notes batches that came late, for graphs that say so: counted in memory, written now and then, never waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import redis.asyncio
from starlette.datastructures import State

from api.seldom import Seldom
from domain.errors import StoreUnavailable
from domain.ids import AccountId
from domain.lateness import Late, late, merge
from schema import lateness

WAITING_MAX = 1_000
"""So many nodes with late batches between two writes; of more it is not told."""
EVERY_S = 1.0
_NODES_MAX = 8
"""A batch of more nodes is a gateway's or a loader's: its oldest sample says nothing of each of them."""


class Lateness:
    """What this process has seen and not yet written; used from its event loop."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._redis = client
        self._waiting: dict[tuple[AccountId, str], Late] = {}
        self._seldom = Seldom()

    def note(
        self, account_id: AccountId, nodes: frozenset[str], span_s: tuple[float, float] | None, now_s: float
    ) -> None:
        """A batch was stored; `span_s` is its oldest and its newest sample, None when that is not known."""
        if span_s is None or len(nodes) > _NODES_MAX:
            return
        for node in nodes:
            found = late(node, *span_s, now_s)
            key = account_id, node
            if found is None or (len(self._waiting) >= WAITING_MAX and key not in self._waiting):
                continue
            known = self._waiting.get(key)
            self._waiting[key] = found if known is None else merge((known, found))[-1]

    async def write_forever(self) -> None:
        """Write what was noted, until cancelled; what Redis does not take is let go."""
        while True:
            await asyncio.sleep(EVERY_S)
            found, self._waiting = self._waiting, {}
            if not found:
                continue
            try:
                await lateness.write(self._redis, [(account_id, one) for (account_id, _), one in found.items()])
            except StoreUnavailable as error:
                self._seldom.warn("lateness_not_written", error)


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Keep `state.lateness` while the process serves."""
    state.lateness = Lateness(state.stores.redis)
    writing = asyncio.create_task(state.lateness.write_forever())
    try:
        yield
    finally:
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
