"""What is read of the stores about an account's nodes, and how often.

What nodes there are, and their states, is read once; from then on the event log tells what changed. Last contacts and
figures are read for rows that some page shows, and for all nodes only while a list is sorted by them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from time import monotonic, time

import structlog
from anyio import to_thread
from clickhouse_connect.driver.exceptions import ClickHouseError
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from dashboards.node_list.figures import FIGURES, LAST_MINUTES, Shown, first_minute, last_of, shown
from dashboards.node_list.index import Node, NodeIndex
from domain.errors import MetristError
from domain.ids import AccountId
from domain.query import NODE
from schema import figures, heartbeats, node_changes
from schema.figures import Minutes
from schema.node_changes import Changes
from schema.stores import Stores
from schema.unwell import NotOk, Unwell

LOG_EVERY_S = 5.0
ALL_EVERY_S = 600.0
"""So seldom all nodes are read anew, in case that someone wrote behind the log's back."""
FIGURES_EVERY_S = 10.0
FIGURES_LAST_S = 60.0
"""A page does not begin with figures that nobody has read for so long."""
SORTED_EVERY_S = 10.0
SORTED_A_SECOND = 500
"""Of all nodes, while a list is sorted by what is read: 10,000 are read every 20 s."""
NAMES_AT_ONCE = 500
AWAY = (MetristError, RedisError, SQLAlchemyError, ClickHouseError, OSError)
"""What a store that is away, or refuses, raises; the page stays up and says so."""

log = structlog.get_logger()


class Looks:
    """The nodes of one account in `index`, as last read; `away` names what could not be read."""

    def __init__(self, stores: Stores, account_id: AccountId) -> None:
        self.index = NodeIndex()
        self.away: set[str] = set()
        self._stores = stores
        self._account_id = account_id
        self._reading_log = asyncio.Lock()
        self._seq: int | None = None
        self._log_due = self._all_due = self._unwell_due = 0.0
        self._unwell = Unwell(stores.control, account_id)
        self._unwell_of = -1
        self._reading_unwell = asyncio.Lock()
        self._sorted_at: dict[str, float] = {}
        self._sort_versions: dict[str, int] = {}

    def expire_log(self) -> None:
        """There is news in the log."""
        self._log_due = 0.0

    def expire_statuses(self) -> None:
        """A status has changed."""
        self._unwell_due = 0.0

    def sort_version(self, sort: str) -> int:
        """Another number whenever what this column sorts by was read, beside the nodes themselves."""
        return self._sort_versions.get(sort, 0)

    async def read_log(self, *, at_once: bool = False) -> None:
        """What changed, if it is time to ask; all nodes the first time."""
        async with self._reading_log:
            if at_once or monotonic() >= self._log_due:
                await self._tried("states", self._take_changes)

    async def read_statuses(self, *, at_once: bool = False) -> None:
        """What conditions say of nodes, if it is time to ask."""
        async with self._reading_unwell:
            if at_once or monotonic() >= self._unwell_due or self._unwell_of != self.index.version:
                await self._tried("statuses", self._take_statuses)

    async def read_contacts(self, nodes: Sequence[Node]) -> None:
        """When these nodes were last heard."""
        await self._tried("contacts", partial(self._take_contacts, nodes))

    async def read_to_sort(self, sorts: Iterable[str]) -> bool:
        """What lists are sorted by, of all nodes; whether anything was. Seldomer the more nodes there are."""
        every_s = max(SORTED_EVERY_S, len(self.index) / SORTED_A_SECOND)
        due = [sort for sort in set(sorts) & SORT_READS if monotonic() >= self._sorted_at.get(sort, -every_s) + every_s]
        for sort in due:
            self._sorted_at[sort] = monotonic()
            if sort == "contact":
                await self.read_contacts(self.index.in_order)
            else:
                await self._tried("figures", partial(self._take_lasts, sort))
            self._sort_versions[sort] = self.sort_version(sort) + 1
        return bool(due)

    async def read_figures(self, nodes: Sequence[Node], *, anew: bool = False) -> None:
        """Of the nodes whose figures are old; if any are, also of those whose soon will be. `anew`: of all of them."""
        now = monotonic()
        if not anew and not any(now - node.figures_at >= FIGURES_EVERY_S for node in nodes):
            return
        old = [node for node in nodes if anew or now - node.figures_at >= FIGURES_EVERY_S / 2]
        for start in range(0, len(old), NAMES_AT_ONCE):
            await self._tried("figures", partial(self._take_figures, old[start : start + NAMES_AT_ONCE]))

    def drop_old_figures(self, nodes: Iterable[Node]) -> None:
        """Nobody has looked at these nodes for a while: what is known of their figures is no news."""
        for node in nodes:
            if node.figures and monotonic() - node.figures_at >= FIGURES_LAST_S:
                node.figures = {}

    async def _take_changes(self) -> None:
        control, account_id = self._stores.control, self._account_id
        self._log_due = monotonic() + LOG_EVERY_S  # before reading: what is published meanwhile is read again
        changes: Changes | None = None
        if self._seq is not None and monotonic() < self._all_due:
            changes = await to_thread.run_sync(node_changes.read_since, control, account_id, self._seq)
        if changes is not None:
            self.index.apply(changes)
        else:
            changes = await to_thread.run_sync(node_changes.read_all, control, account_id)
            self._all_due = monotonic() + ALL_EVERY_S
            self.index.replace(changes.nodes)
        self._seq = changes.seq

    async def _take_statuses(self) -> None:
        self._unwell_due = monotonic() + LOG_EVERY_S
        is_new = await to_thread.run_sync(self._unwell.refresh)
        if not is_new and self._unwell_of == self.index.version:
            return
        by_node: dict[str, list[NotOk]] = {}
        for one in self._unwell.found:
            if NODE in one.labels:
                by_node.setdefault(one.labels[NODE], []).append(one)
        for node in self.index.in_order:
            node.unwell = by_node.get(node.name, ())
        self._unwell_of = self.index.version

    async def _take_contacts(self, nodes: Sequence[Node]) -> None:
        for start in range(0, len(nodes), NAMES_AT_ONCE):
            some = nodes[start : start + NAMES_AT_ONCE]
            found = await heartbeats.read_contacts(self._stores.redis, self._account_id, [node.name for node in some])
            for node in some:
                node.contact = found.get(node.name)

    async def _take_lasts(self, key: str) -> None:
        minute_s = int(time()) // 60 * 60
        from_s, to_s = minute_s - (LAST_MINUTES - 1) * 60, minute_s + 60
        found = await to_thread.run_sync(self._minutes, [key], from_s, to_s, None)
        lasts = {one.node: last_of(one.values) for one in found}
        for node in self.index.in_order:
            node.lasts[key] = lasts.get(node.name)

    async def _take_figures(self, nodes: Sequence[Node]) -> None:
        now_s = time()
        names = [node.name for node in nodes]
        found = await to_thread.run_sync(self._minutes, list(FIGURES), first_minute(now_s), int(now_s) + 1, names)
        by_node: dict[str, dict[str, Shown]] = {name: {} for name in names}
        for one in found:
            key, figure = shown(one)
            by_node[one.node][key] = figure
        for node in nodes:
            node.figures, node.figures_at = by_node[node.name], monotonic()
            node.lasts |= {key: figure.last for key, figure in node.figures.items()}
        for key in FIGURES:  # so that no row stands in a place that what it shows belies
            self._sort_versions[key] = self.sort_version(key) + 1

    def _minutes(self, keys: Sequence[str], from_s: int, to_s: int, names: Sequence[str] | None) -> list[Minutes]:
        metrics = {FIGURES[key].metric: FIGURES[key].across for key in keys}
        return figures.read(self._stores.clickhouse, self._account_id, metrics, from_s, to_s, names)

    async def _tried(self, what: str, read: Callable[[], Awaitable[None]]) -> None:
        """Take what a store says; one that is away leaves the last look standing, and the page is told."""
        try:
            await read()
            self.away.discard(what)
        except AWAY as error:
            if what not in self.away:
                log.warning("nodes_not_read", what=what, account_id=str(self._account_id), error=type(error).__name__)
            self.away.add(what)


SORT_READS = frozenset({"contact", *FIGURES})
"""The columns whose order the nodes themselves do not tell."""
