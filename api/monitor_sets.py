"""Which monitors each node is to run, kept in this process, so that a ping asks no store.

An account's monitors are read when it is first asked for, again when somebody changes one (every process hears of it),
and every half minute in any case; while the control DB is away, what was read last counts.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from uuid import UUID

import redis.asyncio
import structlog
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import State

from api.seldom import Seldom
from api.wakes import Wakes
from domain import bundles
from domain.bundles import Entry
from domain.errors import MetristError
from domain.ids import AccountId
from domain.monitors import Candidate, finds
from domain.rollouts import version_for
from schema import keys, monitors, nodes
from schema.monitors import Monitor

log = structlog.get_logger()
_FRESH_S = 30.0
_AGAIN_S = 1.0
"""After a read failed, so long nobody tries."""
_ACCOUNTS_MAX = 10_000
_NODES_MAX = 100_000
_RETRY_S = 1.0
_LISTEN_S = 30.0


@dataclass(frozen=True, slots=True)
class NodeSet:
    """What one node is to run."""

    hash: str
    entries: tuple[Entry, ...]


NOTHING = NodeSet("", ())


@dataclass(frozen=True, slots=True)
class _Prepared:
    monitor: Monitor
    entries: Mapping[int, Entry]


@dataclass
class _Account:
    """One account's monitors; `nodes` what was worked out since they were read."""

    monitors: Sequence[_Prepared]
    read_at: float
    nodes: dict[str, tuple[Mapping[str, str], NodeSet]] = field(default_factory=dict)
    sets: dict[str, NodeSet] = field(default_factory=dict)
    is_stale: bool = False

    def of(self, node: str, labels: Mapping[str, str]) -> NodeSet:
        known = self.nodes.get(node)
        if known is not None and known[0] == labels:
            return known[1]
        found = self._work_out(Candidate(node, labels))
        if len(self.nodes) >= _NODES_MAX:
            self.nodes.clear()
        self.nodes[node] = (labels, found)
        return found

    def _work_out(self, node: Candidate) -> NodeSet:
        entries = tuple(entry for one in self.monitors if (entry := _entry_for(one, node)) is not None)
        if not entries:
            return NOTHING
        set_hash = bundles.hash_of(entries)
        return self.sets.setdefault(set_hash, NodeSet(set_hash, entries))  # most nodes of an account run the same


class MonitorSets:
    """The sets of all accounts whose nodes ask this process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._accounts: OrderedDict[AccountId, _Account] = OrderedDict()
        self._reading: dict[AccountId, asyncio.Task[_Account | None]] = {}
        self._failed_at = -_AGAIN_S

    async def find(self, account_id: AccountId, node: str, labels: Mapping[str, str] | None = None) -> NodeSet | None:
        """What a node is to run; None when that is not known, since the control DB is away.

        labels  what it has just told; None looks them up
        """
        account = await self._account(account_id)
        if account is None:
            return None
        if not account.monitors:
            return NOTHING
        if labels is None:
            known = account.nodes.get(node)
            labels = known[0] if known else await self._look_up(account_id, node)
        return account.of(node, labels)

    async def ids(self, account_id: AccountId) -> Collection[UUID]:
        """Of all monitors of the account, as far as they are known."""
        account = await self._account(account_id)
        return {one.monitor.id for one in account.monitors} if account else ()

    def change(self, account_id: AccountId) -> None:
        """Somebody changed a monitor: read the account's anew when they are next asked for."""
        known = self._accounts.get(account_id)
        if known is not None:
            known.is_stale = True
        self._reading.pop(account_id, None)  # it may have begun before the change

    async def _account(self, account_id: AccountId) -> _Account | None:
        known = self._accounts.get(account_id)
        now_s = time.monotonic()
        if known is not None and not known.is_stale and now_s - known.read_at < _FRESH_S:
            return known
        if now_s - self._failed_at < _AGAIN_S:
            return known
        return await asyncio.shield(self._reading_of(account_id)) or known

    def _reading_of(self, account_id: AccountId) -> asyncio.Task[_Account | None]:
        """The read under way, for all nodes that wait for it."""
        reading = self._reading.get(account_id)
        if reading is None or reading.done():
            reading = self._reading[account_id] = asyncio.create_task(self._read(account_id))
            reading.add_done_callback(lambda done: self._forget(account_id, done))
        return reading

    def _forget(self, account_id: AccountId, done: asyncio.Task[_Account | None]) -> None:
        if self._reading.get(account_id) is done:
            del self._reading[account_id]

    async def _read(self, account_id: AccountId) -> _Account | None:
        me = asyncio.current_task()
        try:
            found = await asyncio.to_thread(monitors.list_for, self._engine, account_id)
        except (MetristError, SQLAlchemyError, OSError) as error:
            self._failed_at = time.monotonic()
            log.warning("monitors_not_read", account_id=str(account_id), error=type(error).__name__)
            return None
        before = self._accounts.get(account_id)
        account = _Account([_prepare(one) for one in found], time.monotonic())
        if before is not None and [one.monitor for one in before.monitors] == list(found):
            account.nodes, account.sets = before.nodes, before.sets
        account.is_stale = self._reading.get(account_id) is not me  # it was changed while we read
        self._accounts[account_id] = account
        self._accounts.move_to_end(account_id)
        if len(self._accounts) > _ACCOUNTS_MAX:
            self._accounts.popitem(last=False)
        return account

    async def _look_up(self, account_id: AccountId, node: str) -> Mapping[str, str]:
        with suppress(MetristError, SQLAlchemyError, OSError):
            found = await asyncio.to_thread(nodes.find, self._engine, account_id, node)
            return found.labels if found else {}
        return {}


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Have `state.monitor_sets` hear of changes while the process serves."""
    listening = asyncio.create_task(_listen_forever(state.stores.redis, state.monitor_sets, state.wakes))
    try:
        yield
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _listen_forever(client: redis.asyncio.Redis, sets: MonitorSets, wakes: Wakes) -> None:
    seldom = Seldom()
    while True:
        try:
            await _listen(client, sets, wakes)
        except (RedisError, OSError) as error:
            seldom.warn("monitor_changes_not_heard", error)
        await asyncio.sleep(_RETRY_S)


async def _listen(client: redis.asyncio.Redis, sets: MonitorSets, wakes: Wakes) -> None:
    async with client.pubsub(ignore_subscribe_messages=True) as pubsub:
        await pubsub.subscribe(keys.MONITORS_CHANGED)
        while True:
            message = await pubsub.get_message(timeout=_LISTEN_S)
            if message is not None:
                with suppress(ValueError):
                    account_id = AccountId(UUID(message["data"].decode(errors="replace")))
                    sets.change(account_id)
                    wakes.wake_account(account_id)


def _prepare(monitor: Monitor) -> _Prepared:
    numbers = {monitor.good, monitor.pushed} - {0}
    specs = {number: spec for number in numbers if (spec := monitor.spec_of(number)) is not None}
    made = {number: bundles.entry(str(monitor.id), monitor.name, number, spec) for number, spec in specs.items()}
    return _Prepared(monitor, made)


def _entry_for(one: _Prepared, node: Candidate) -> Entry | None:
    if one.monitor.is_paused or not one.entries or not finds(one.monitor.target, node):
        return None
    return one.entries.get(version_for(one.monitor.rollout, node.name))
