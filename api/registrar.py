"""Registers nodes at their first contact, and notes what they say of themselves; no SQL for a node that is known.

One batch is written at a time, and whoever comes meanwhile is in the next: a single contact waits for nobody, and a
herd of thousands shares a few commits.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import partial

import msgspec
import redis.asyncio
import structlog
from anyio import to_thread
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.seldom import Seldom
from domain.errors import MetristError
from domain.ids import AccountId, NodeId
from domain.nodes import Said
from schema import keys, nodes
from schema.nodes import NodeRow

log = structlog.get_logger()
KNOWN_MAX = 200_000
ASK_AGAIN_MS = 60_000
"""So often at most is the control DB asked about a node; two machines under one name would make us ask each time."""
WAIT_S = 1.0
"""A first contact waits so long for its registration, which goes on in any case."""
WAITING_MAX = 50_000
"""More first contacts than this at once are left to ask again with their next."""
AT_ONCE = 500

Key = tuple[AccountId, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """What Redis told about a node as it was heard.

    is_new    the sweep has not seen the node yet; also after Redis was flushed, so it is no proof
    is_first  Redis had no record of it at all: it may be new, or have been removed or deregistered
    node_id   which node stands under the name, as the sweep knows it; "" when it does not
    """

    is_new: bool = False
    is_first: bool = False
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    said: Said
    asked_ms: int
    node_id: NodeId


@dataclass(slots=True)
class _Asked:
    """A registration that waits for its batch, or is in it; `done` is set whatever becomes of it."""

    said: Said
    now_ms: int
    done: asyncio.Event


class Registrar:
    """What this process knows to be registered."""

    def __init__(self, engine: Engine, client: redis.asyncio.Redis, seldom: Seldom) -> None:
        self._engine = engine
        self._redis = client
        self._seldom = seldom
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._waiting: OrderedDict[AccountId, dict[str, _Asked]] = OrderedDict()
        self._under_way: Mapping[Key, _Asked] = {}
        self._working: asyncio.Task[None] | None = None

    async def introduce(self, key: Key, said: Said, now_ms: int, seen: Seen) -> None:
        """Register a node or what is news about it; returns when that is done, or after a second."""
        if not self._is_news(key, said, now_ms, seen):
            return
        asked = self._ask(key, said, now_ms)
        if asked is not None:
            try:
                await asyncio.wait_for(asked.done.wait(), WAIT_S)
            except TimeoutError:
                return

    def introduce_all(self, account_id: AccountId, names: Sequence[str], now_ms: int, new: Collection[str]) -> None:
        """Register the nodes of one batch of snapshots, as far as they are news, in the background.

        new  those that the sweep has not seen yet
        """
        said = Said()
        for name in names:
            if self._is_news((account_id, name), said, now_ms, Seen(is_new=name in new)):
                self._ask((account_id, name), said, now_ms)

    async def drain(self) -> None:
        """Wait for the registrations under way."""
        if self._working is not None:
            await asyncio.wait([self._working], timeout=WAIT_S)

    def _is_news(self, key: Key, said: Said, now_ms: int, seen: Seen) -> bool:
        known = self._known.get(key)
        if known is None or seen.is_first or seen.node_id not in ("", known.node_id.hex) or _adds(known.said, said):
            return True
        if abs(now_ms - known.asked_ms) < ASK_AGAIN_MS:
            return False
        return seen.is_new or _merged(known.said, said) != known.said

    def _ask(self, key: Key, said: Said, now_ms: int) -> _Asked | None:
        """Have it registered with the next batch; None when too many wait."""
        account_id, name = key
        running = self._under_way.get(key)
        if running is not None and not _adds(running.said, said):
            return running
        waiting = self._waiting.setdefault(account_id, {})
        asked = waiting.get(name)
        if asked is not None:
            asked.said = _merged(asked.said, said)
            return asked
        if sum(map(len, self._waiting.values())) >= WAITING_MAX:
            return None
        asked = waiting[name] = _Asked(said, now_ms, asyncio.Event())
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return asked

    async def _work(self) -> None:
        try:
            while self._waiting:
                account_id, batch = self._take()
                self._under_way = {(account_id, name): asked for name, asked in batch.items()}
                try:
                    await self._register(account_id, batch)
                finally:
                    self._under_way = {}
                    for asked in batch.values():
                        asked.done.set()
        finally:
            self._working = None

    def _take(self) -> tuple[AccountId, Mapping[str, _Asked]]:
        """The next batch, of the account whose turn it is."""
        account_id, waiting = self._waiting.popitem(last=False)
        batch = {name: waiting.pop(name) for name in list(waiting)[:AT_ONCE]}
        if waiting:
            self._waiting[account_id] = waiting
        return account_id, batch

    async def _register(self, account_id: AccountId, batch: Mapping[str, _Asked]) -> None:
        now_ms = min(asked.now_ms for asked in batch.values())
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        said = {name: asked.said for name, asked in batch.items()}
        try:
            found = await to_thread.run_sync(partial(nodes.meet, self._engine, account_id, said, now))
        except (MetristError, SQLAlchemyError, OSError) as error:
            self._seldom.warn("nodes_not_registered", error)
            return
        for node in found:
            self._remember((account_id, node.name), said[node.name], now_ms, node.id)
        await self._tell(found, now)

    def _remember(self, key: Key, said: Said, now_ms: int, node_id: NodeId) -> None:
        before = self._known.pop(key, None)
        is_same = before is not None and before.node_id == node_id
        self._known[key] = _Known(_merged(before.said, said) if before and is_same else said, now_ms, node_id)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _tell(self, found: Sequence[NodeRow], now: datetime) -> None:
        """Say so to the log, and to open pages, of each node that is new or came back from being deregistered."""
        news = [node for node in found if now in (node.registered_at, node.state_since)]
        if not news:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for node in news:
                    event = "node_registered" if node.registered_at == now else "node_online"
                    log.info(event, node=node.name, account_id=str(node.account_id))
                    message = {"type": event, "node": node.name, "at": now.timestamp()}
                    pipeline.publish(keys.events_channel(node.account_id), msgspec.json.encode(message))
                await pipeline.execute()
        except (RedisError, OSError) as error:
            self._seldom.warn("event_not_published", error)


def _merged(before: Said, said: Said) -> Said:
    """What a node has said in all; it need not repeat itself."""
    told = {field.name: getattr(said, field.name) for field in fields(Said)}
    return replace(before, **{name: value for name, value in told.items() if value is not None})


def _adds(before: Said, said: Said) -> bool:
    """Whether it says something of which it said nothing before."""
    pairs = ((getattr(before, field.name), getattr(said, field.name)) for field in fields(Said) if field.compare)
    return any(known is None and told is not None for known, told in pairs)
