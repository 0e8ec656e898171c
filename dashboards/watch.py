"""Keep open pages current: one look at an account's nodes for all pages that show some of them.

It goes on only while someone follows. What is known stays for a while, so that the next page costs a look at the log.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from time import monotonic
from typing import Any

from dashboards.following import Following, heard
from dashboards.node_list.followers import Follower, ListFollower, NodeFollower
from dashboards.node_list.index import Node
from dashboards.node_list.looks import AWAY, FIGURES_EVERY_S, Looks
from dashboards.node_list.query import NodeQuery
from dashboards.node_list.selection import Selection
from domain.ids import AccountId
from schema.stores import Stores

__all__ = ["AWAY", "NodeWatch", "Watches"]

LOOK_EVERY_S = 2.0
REST_S = 0.25
"""Transitions that are published one after the other are looked at together."""
SORT_WAIT_S = 0.5
FIGURES_WAIT_S = 0.06
"""So long a page that is being made waits for what it is sorted by, and for its figures; its stream brings them."""
KEPT_S = 300.0
SELECTIONS_KEPT = 8
"""That nobody follows; each knows of every node whether it fits, a megabyte for 10,000."""


class NodeWatch(Following[Follower]):
    """The pages that show nodes of one account, and the looks they share."""

    def __init__(self, stores: Stores, account_id: AccountId) -> None:
        super().__init__(account_id)
        self.used_at = monotonic()
        self._looks = Looks(stores, account_id)
        self._redis = stores.redis
        self._selections: dict[NodeQuery, Selection] = {}
        self._beside: dict[str, asyncio.Task[Any]] = {}
        self._told, self._asked = asyncio.Event(), asyncio.Event()

    @property
    def away(self) -> set[str]:
        """Which of "states", "contacts", "figures" could not be read."""
        return self._looks.away

    async def open_list(self, query: NodeQuery) -> ListFollower:
        """A page of the list: states and last contacts as they are, and of figures what came in a moment."""
        await self._open()
        await self._soon("sort", self._looks.read_to_sort([query.sort]), SORT_WAIT_S)
        selection = self._selection(query)
        await selection.refresh(self._looks.sort_version(query.sort))
        follower = ListFollower(self._looks.index, selection, query)
        shown = follower.nodes()
        self._looks.drop_old_figures(shown)
        await self._looks.read_contacts(shown)
        await self._soon("figures", self._looks.read_figures(shown), FIGURES_WAIT_S)
        await selection.refresh(self._looks.sort_version(query.sort))
        return follower

    async def open_node(self, name: str) -> NodeFollower:
        """The page of one node."""
        await self._open()
        follower = NodeFollower(self._looks.index, name)
        await self._looks.read_contacts(follower.nodes())
        return follower

    @asynccontextmanager
    async def follow(self, follower: Follower) -> AsyncIterator[None]:
        """Wake the follower, at once and then with every look, until the block ends."""
        async with self.following(follower):
            follower.woken.set()
            self._asked.set()
            try:
                yield
            finally:
                self.used_at = monotonic()

    def works(self) -> Iterable[Coroutine[Any, Any, None]]:
        return self._listen(), self._look_forever(), self._read_figures_forever()

    async def _open(self) -> None:
        self.used_at = monotonic()
        await self._looks.read_log(at_once=not self.is_followed)
        await self._looks.read_statuses(at_once=not self.is_followed)

    async def _soon(self, what: str, read: Coroutine[Any, Any, Any], wait_s: float) -> None:
        """Let a read go on by itself when it takes long; one of a kind at a time, however many pages ask."""
        if what in self._beside:
            read.close()
        else:
            self._beside[what] = asyncio.create_task(read)
            self._beside[what].add_done_callback(lambda _: self._beside.pop(what, None))
        await asyncio.wait([self._beside[what]], timeout=wait_s)

    def _selection(self, query: NodeQuery) -> Selection:
        """Everyone who asks for the same rows shares one, whatever page of them; the last few asked for are kept."""
        first = query.first_page()
        found = self._selections.pop(first, None) or Selection(self._looks.index, first)
        self._selections[first] = found
        followed = {follower.selection for follower in self._lists()}
        idle = [key for key, selection in self._selections.items() if selection not in followed]
        for key in idle[: max(0, len(idle) - SELECTIONS_KEPT)]:
            del self._selections[key]
        return found

    async def _listen(self) -> None:
        """Look at once when an event of a node or a status is published; other events are none of ours."""
        async for told in heard(self._redis, self._account_id):
            if told in ("", "node"):
                self._looks.expire_log()
            if told in ("", "status"):
                self._looks.expire_statuses()
            self._told.set()

    async def _look_forever(self) -> None:
        while True:
            self._told.clear()
            await self._looks.read_log()
            await self._looks.read_statuses()
            await self._refresh()
            await self._looks.read_contacts(self._shown())
            self._wake()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told.wait(), LOOK_EVERY_S)
            await asyncio.sleep(REST_S)

    async def _read_figures_forever(self) -> None:
        """Beside the looks, so that states and contacts never wait for the store of samples."""
        while True:
            self._asked.clear()
            is_new = await self._looks.read_to_sort([follower.query.sort for follower in self._lists()])
            await self._refresh()
            await self._looks.read_figures(self._shown(), anew=is_new)
            await self._refresh()
            self._wake()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), FIGURES_EVERY_S / 2)

    async def _refresh(self) -> None:
        for selection in {follower.selection for follower in self._lists()}:
            await selection.refresh(self._looks.sort_version(selection.query.sort))

    def _lists(self) -> list[ListFollower]:
        return [follower for follower in self._followers if isinstance(follower, ListFollower)]

    def _shown(self) -> list[Node]:
        return list(dict.fromkeys(node for follower in self._followers for node in follower.nodes()))

    def _wake(self) -> None:
        for follower in self._followers:
            follower.woken.set()


class Watches:
    """The watch of each account that is looked at, or was a moment ago."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._by_account: dict[AccountId, NodeWatch] = {}

    def of(self, account_id: AccountId) -> NodeWatch:
        """The account's watch; those that nobody used for a while are let go."""
        used_since = monotonic() - KEPT_S
        kept = {key: one for key, one in self._by_account.items() if one.is_followed or one.used_at >= used_since}
        self._by_account = kept
        return kept.get(account_id) or kept.setdefault(account_id, NodeWatch(self._stores, account_id))


def watch_of(state: Any, account_id: AccountId) -> NodeWatch:
    """The account's watch in this process, by the app's state."""
    if not hasattr(state, "watches"):
        state.watches = Watches(state.stores)
    watches: Watches = state.watches
    return watches.of(account_id)
