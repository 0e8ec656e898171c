"""Registers nodes at their first contact, and notes what they say of themselves; no SQL for a node that is known."""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
import redis.asyncio
import structlog
from anyio import CapacityLimiter, to_thread
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from api.seldom import Seldom
from domain.errors import MetristError
from domain.ids import AccountId
from schema import keys, nodes
from schema.nodes import NodeRow

log = structlog.get_logger()
KNOWN_MAX = 200_000
ASK_AGAIN_MS = 60_000
"""So often at most is the control DB asked about a node; two machines under one name would make us ask each time."""
WAIT_S = 1.0
"""A first contact waits so long for its registration, which goes on in any case."""
_AT_ONCE = 4
_MANY = 100

Key = tuple[AccountId, str]


@dataclass(frozen=True, slots=True)
class Said:
    """What a node says of itself; None is what it leaves unsaid."""

    instance_id: str | None = None
    labels: Mapping[str, str] | None = None
    agent: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    said: Said
    asked_ms: int


class Registrar:
    """What this process knows to be registered."""

    def __init__(self, engine: Engine, client: redis.asyncio.Redis, seldom: Seldom) -> None:
        self._engine = engine
        self._redis = client
        self._seldom = seldom
        self._known: OrderedDict[Key, _Known] = OrderedDict()
        self._registering: dict[Key, asyncio.Task[None]] = {}
        self._limiter = CapacityLimiter(_AT_ONCE)

    async def introduce(self, key: Key, said: Said, now_ms: int, *, is_new: bool) -> None:
        """Register a node or what is news about it; returns when that is done, or after a second.

        is_new  the sweep has not seen the node yet; also after Redis was flushed, so it is no proof
        """
        if not self._is_news(key, said, now_ms, is_new=is_new):
            return
        task = self._registering.get(key)
        if task is None:
            task = self._registering[key] = asyncio.create_task(self._register(key, said, now_ms))
            task.add_done_callback(lambda _: self._registering.pop(key, None))
        await asyncio.wait([task], timeout=WAIT_S)

    def introduce_all(self, account_id: AccountId, names: Sequence[str], now_ms: int, new: Collection[str]) -> None:
        """Register the nodes of one batch, as far as they are news, in the background and a hundred a commit.

        new  as `is_new` of `introduce`
        """
        said = Said()
        news = [
            name
            for name in names
            if (account_id, name) not in self._registering
            and self._is_news((account_id, name), said, now_ms, is_new=name in new)
        ]
        for start in range(0, len(news), _MANY):
            some = news[start : start + _MANY]
            task = asyncio.create_task(self._register_many(account_id, some, now_ms))
            self._registering |= dict.fromkeys(((account_id, name) for name in some), task)

    async def drain(self) -> None:
        """Wait for the registrations under way."""
        if self._registering:
            await asyncio.wait(self._registering.values(), timeout=WAIT_S)

    def _is_news(self, key: Key, said: Said, now_ms: int, *, is_new: bool) -> bool:
        known = self._known.get(key)
        if known is None:
            return True
        if abs(now_ms - known.asked_ms) < ASK_AGAIN_MS:
            return False
        return is_new or _merged(known.said, said) != known.said

    async def _register(self, key: Key, said: Said, now_ms: int) -> None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        try:
            node = await to_thread.run_sync(partial(_register, self._engine, key, said, now), limiter=self._limiter)
        except (MetristError, SQLAlchemyError, OSError) as error:
            self._seldom.warn("node_not_registered", error)
            return
        self._remember(key, said, now_ms)
        await self._tell(node, now)

    async def _register_many(self, account_id: AccountId, names: Sequence[str], now_ms: int) -> None:
        now = datetime.fromtimestamp(now_ms / 1000, UTC)
        work = partial(nodes.register_many, self._engine, account_id, names, now)
        try:
            found = await to_thread.run_sync(work, limiter=self._limiter)
        except (MetristError, SQLAlchemyError, OSError) as error:
            self._seldom.warn("nodes_not_registered", error)
            return
        finally:
            for name in names:
                self._registering.pop((account_id, name), None)
        for node in found:
            self._remember((account_id, node.name), Said(), now_ms)
            await self._tell(node, now)

    def _remember(self, key: Key, said: Said, now_ms: int) -> None:
        before = self._known.pop(key, None)
        self._known[key] = _Known(_merged(before.said, said) if before else said, now_ms)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    async def _tell(self, node: NodeRow, now: datetime) -> None:
        """Say so to the log, and to open pages, when the node was new or came back from being deregistered."""
        if now not in (node.registered_at, node.state_since):
            return
        event = "node_registered" if node.registered_at == now else "node_online"
        log.info(event, node=node.name, account_id=str(node.account_id))
        message = msgspec.json.encode({"type": event, "node": node.name, "at": now.timestamp()})
        try:
            await self._redis.publish(keys.events_channel(node.account_id), message)
        except (RedisError, OSError) as error:
            self._seldom.warn("event_not_published", error)


def _register(engine: Engine, key: Key, said: Said, now: datetime) -> NodeRow:
    return nodes.register(engine, *key, said.instance_id, now, labels=said.labels, agent=said.agent)


def _merged(before: Said, said: Said) -> Said:
    """What a node has said in all; it need not repeat itself."""
    return Said(
        instance_id=before.instance_id if said.instance_id is None else said.instance_id,
        labels=before.labels if said.labels is None else said.labels,
        agent=before.agent if said.agent is None else said.agent,
    )
