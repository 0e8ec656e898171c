"""A live view: a stream of server-sent events that holds a viewer's lease for as long as somebody listens.

button → this stream → lease in Redis → the node's held ping returns at once → its agent posts to /api/v1/live →
pub/sub → this stream → the graph. When the last stream of a node ends, so does the agent's.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec
from anyio import to_thread
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse

from dashboards.live_hub import Follower, LiveHub
from dashboards.sight import Sight
from dashboards.signin import viewer_of
from domain import live as rules
from domain.errors import MetristError, NotFound, Overloaded
from domain.live import Node, Stage, Wish
from domain.nodes import NodeState
from schema import heartbeats, live, nodes
from schema.live import RENEW_MS
from schema.sessions import Viewer
from schema.stores import Stores

router = APIRouter(include_in_schema=False)
EVENT_STREAM = "text/event-stream"
STREAM_LASTS_S = 600.0
"""Then the browser opens it again, which asks anew who is looking; the agent streams on through that."""
STREAMS_MAX = 1_000
_TICK_S = 0.25
_NODE_EVERY_MS = 2_000
_RECONNECT_MS = 500
Viewing = Annotated[Viewer, Depends(viewer_of)]


@router.get("/live/stream")
async def stream(
    request: Request,
    viewer: Viewing,
    node: str,
    metric: Annotated[list[str], Query(max_length=rules.METRICS_MAX)],
    every_ms: int = 1_000,
) -> Response:
    """Live data of some metrics of a node, and where the view stands. Raises NotFound, InvalidQuery, Overloaded."""
    wish = rules.wish(node, metric, every_ms)
    state = request.app.state
    if await to_thread.run_sync(nodes.find, state.stores.control, viewer.account_id, node) is None:
        raise NotFound(f"There is no node {node} in this account")
    if state.live_streams >= STREAMS_MAX:
        raise Overloaded("Too many live views are open on this server", headers={"Retry-After": "10"})
    session = _Session(state.stores, state.live_hub, viewer, wish, state.stopping)
    await session.renew(_now_ms())
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_counted(state, session, Sight(request, viewer)), media_type=EVENT_STREAM, headers=headers)


async def _counted(state: Any, session: "_Session", sight: Sight) -> AsyncIterator[bytes]:
    state.live_streams += 1
    try:
        async with aclosing(session.events()) as events:
            async for event in events:
                if not await sight.lasts():
                    return
                yield event
    finally:
        state.live_streams -= 1


@dataclass
class _Session:
    """One open stream."""

    stores: Stores
    hub: LiveHub
    viewer: Viewer
    wish: Wish
    stopping: asyncio.Event
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    renewed_ms: int = 0
    looked_ms: int = 0
    last_ms: int | None = None
    heard_ms: int | None = None
    first_ms: int | None = None
    seen: set[str] = field(default_factory=set)
    node: Node = field(default_factory=lambda: Node(NodeState.ONLINE, None))
    away: bool = False
    told: dict[str, Any] = field(default_factory=dict)

    async def renew(self, now_ms: int) -> None:
        """Raises Overloaded when too many look at this node, StoreUnavailable."""
        await live.look(self.stores.redis, self.viewer.account_id, self.id, self.wish, now_ms)
        self.renewed_ms = now_ms

    async def events(self) -> AsyncGenerator[bytes, None]:
        """Server-sent events until the time is over, the server stops, or nobody listens any more."""
        ends_at = time.monotonic() + STREAM_LASTS_S
        metrics = frozenset(self.wish.metrics)
        yield f"retry: {_RECONNECT_MS}\n\n".encode()
        try:
            async with self.hub.follow(self.viewer.account_id, self.wish.node) as follower:
                while time.monotonic() < ends_at and not self.stopping.is_set():
                    await self._keep_up()
                    for message in follower.take():
                        self.heard_ms = message.at_ms
                        self.first_ms = self.first_ms or message.at_ms
                        if found := rules.chosen_of(message.snapshots, metrics):
                            self.last_ms = message.at_ms
                            self.seen.update(key.partition("{")[0] for one in found for key in one.metrics)
                            yield _event("points", {"at": message.at_ms / 1000, "snapshots": found})
                    if (standing := self._standing(follower)) != self.told:
                        self.told = standing
                        yield _event("stage", standing | {"now": time.time()})
                    with suppress(TimeoutError):
                        await asyncio.wait_for(follower.woken.wait(), _TICK_S)
        finally:
            await asyncio.shield(self._leave())

    async def _keep_up(self) -> None:
        """Renew the lease and look at the node, each when it is time; a store that is away is said, not fatal."""
        now_ms = _now_ms()
        try:
            if now_ms - self.renewed_ms >= RENEW_MS:
                await self.renew(now_ms)
            if now_ms - self.looked_ms >= _NODE_EVERY_MS:
                self.node = await self._look(now_ms)
                self.looked_ms = now_ms
            self.away = False
        except MetristError:
            self.away = True

    async def _look(self, now_ms: int) -> Node:
        account_id, name = self.viewer.account_id, self.wish.node
        row = await to_thread.run_sync(nodes.find, self.stores.control, account_id, name)
        contact = (await heartbeats.read_contacts(self.stores.redis, account_id, [name])).get(name)
        state = NodeState.DEREGISTERED if row is None else row.state
        return Node(state, contact.last + contact.interval if contact and contact.interval else None)

    def _standing(self, follower: Follower) -> dict[str, Any]:
        now_ms, every_ms = _now_ms(), self.wish.every_ms
        found = rules.stage(self.node, self.last_ms, self.heard_ms, every_ms, now_ms)
        expected_ms = self.node.expected_ms if found == Stage.WAITING else None
        return {
            "stage": found.value,
            "expected": None if expected_ms is None else expected_ms / 1000,
            "dropped": follower.dropped,
            "away": self.away,
            "missing": rules.unmeasured(self.wish.metrics, self.seen, self.first_ms, every_ms, now_ms),
        }

    async def _leave(self) -> None:
        with suppress(MetristError):
            await live.leave(self.stores.redis, self.viewer.account_id, self.id, self.wish, _now_ms())


def _event(name: str, data: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))


def _now_ms() -> int:
    return int(time.time() * 1000)
