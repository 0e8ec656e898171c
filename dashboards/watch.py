"""Keep open pages current: one look at an account's nodes for all pages that show them.

A watch runs while somebody follows it. It looks at last contacts every 2 s, at figures every 10 s (seldomer with
many nodes), and at the nodes' states every 10 s and at once when a transition is published. A follower that reads
slowly finds all it has missed merged into one message: it loses steps in between, never memory of ours.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic, time

import structlog
from anyio import to_thread
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from dashboards.nodes import FIGURES, Changes, Minutes, Node, changes, figures_of, first_minute
from domain.errors import MetristError
from domain.ids import AccountId
from domain.series import MINUTE, Plan, Selector
from schema import heartbeats, keys, nodes, series
from schema.stores import Stores

CONTACTS_EVERY_S = 2.0
STATES_EVERY_S = 10.0
FIGURES_EVERY_S = 10.0
NODES_A_SECOND = 50  # of figures: 10,000 nodes are looked at every 200 s
RETRY_S = 2.0
AWAY = (MetristError, RedisError, SQLAlchemyError, ClickHouseError, OSError)
"""What a store that is away, or refuses, raises; the page stays up and says so."""

log = structlog.get_logger()


@dataclass(eq=False)
class Follower:
    """One open page: what it has not been told yet."""

    pending: Changes = field(default_factory=Changes)
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, news: Changes) -> None:
        self.pending.merge(news)
        self.woken.set()

    async def next(self) -> Changes:
        """All changes since the last call; waits for at most one look, and may then be empty."""
        await self.woken.wait()
        self.woken.clear()
        news, self.pending = self.pending, Changes()
        return news


class NodeWatch:
    """The nodes of one account as they are now."""

    def __init__(self, stores: Stores, account_id: AccountId) -> None:
        self.view: dict[str, Node] = {}
        self.away: set[str] = set()
        self._stores = stores
        self._account_id = account_id
        self._followers: set[Follower] = set()
        self._task: asyncio.Task[None] | None = None
        self._told = asyncio.Event()
        self._states_due = self._figures_due = 0.0

    @property
    def is_followed(self) -> bool:
        return bool(self._followers)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[Follower]:
        """Hear of changes; the first message is everything."""
        follower = Follower()
        if self.view:
            follower.tell(changes({}, self.view))
        self._followers.add(follower)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            yield follower
        finally:
            self._followers.discard(follower)
            if not self._followers:
                await self._stop()

    async def look(self) -> dict[str, Node]:
        """The nodes for a page that is being made: as known, or read now; figures come with the stream."""
        if not (self.is_followed and self.view):
            self._states_due = 0.0
            await self._refresh(with_figures=False)
        return self.view

    async def _stop(self) -> None:
        task, self._task = self._task, None
        if task:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._states_due = self._figures_due = 0.0

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            while True:
                before = self.view
                await self._refresh(with_figures=True)
                news = changes(before, self.view)
                for follower in self._followers:
                    follower.tell(news)
                self._told.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._told.wait(), CONTACTS_EVERY_S)

    async def _listen(self) -> None:
        """Look at the states at once when a transition is published."""
        while True:
            try:
                async with self._stores.redis.pubsub() as channel:
                    await channel.subscribe(keys.events_channel(self._account_id))
                    async for _ in channel.listen():
                        self._states_due = 0.0
                        self._told.set()
            except AWAY:
                await asyncio.sleep(RETRY_S)

    async def _refresh(self, *, with_figures: bool) -> None:
        if monotonic() >= self._states_due:
            await self._tried("states", self._read_states)
        await self._tried("contacts", self._read_contacts)
        if with_figures and monotonic() >= self._figures_due:
            await self._tried("figures", self._read_figures)

    async def _tried(self, what: str, read: Callable[[], Awaitable[dict[str, Node]]]) -> None:
        """Take what a store says; one that is away leaves the last look standing, and the page is told."""
        try:
            self.view = await read()
            self.away.discard(what)
        except AWAY as error:
            if what not in self.away:
                log.warning("nodes_not_read", what=what, account_id=str(self._account_id), error=type(error).__name__)
            self.away.add(what)

    async def _read_states(self) -> dict[str, Node]:
        rows = await to_thread.run_sync(nodes.list_for, self._stores.control, self._account_id)
        self._states_due = monotonic() + STATES_EVERY_S
        known = {row.name: {"name": row.name, "state": str(row.state), "labels": dict(row.labels)} for row in rows}
        return {name: self.view.get(name, {"contact_s": None}) | node for name, node in known.items()}

    async def _read_contacts(self) -> dict[str, Node]:
        contacts = await heartbeats.read_last_contact(self._stores.redis, self._account_id, list(self.view))
        return {name: node | {"contact_s": contacts.get(name)} for name, node in self.view.items()}

    async def _read_figures(self) -> dict[str, Node]:
        self._figures_due = monotonic() + max(FIGURES_EVERY_S, len(self.view) / NODES_A_SECOND)
        now_s = time()
        found = figures_of(await to_thread.run_sync(self._read_minutes, now_s), now_s)
        return {name: node | {"figures": found.get(name, {})} for name, node in self.view.items()}

    def _read_minutes(self, now_s: float) -> list[Minutes]:
        selector = Selector([figure.metric for figure in FIGURES.values()])
        plan = Plan(MINUTE, MINUTE.width_s, first_minute(now_s), int(now_s) + 1)
        found = series.read(self._stores.clickhouse, self._account_id, selector, plan)
        return [Minutes(one.node, one.metric, one.labels, _points(one)) for one in found.series]


class Watches:
    """The watch of each account that is looked at just now."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._by_account: dict[AccountId, NodeWatch] = {}

    def of(self, account_id: AccountId) -> NodeWatch:
        """The account's watch; those that nobody follows any more are let go."""
        self._by_account = {key: watch for key, watch in self._by_account.items() if watch.is_followed}
        return self._by_account.setdefault(account_id, NodeWatch(self._stores, account_id))


def _points(one: series.Series) -> list[tuple[float, float]]:
    pairs = zip(series.decode_numbers(one.ts), series.decode_numbers(one.main), strict=True)
    return [(ts_s, value) for ts_s, value in pairs if ts_s is not None and value is not None]
