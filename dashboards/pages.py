"""The pages of an account: its nodes, one node with its graphs, and how to connect one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from dashboards.charts import Group, Latest, group
from dashboards.format import ago
from dashboards.nodes import FIGURES, Changes, changes
from dashboards.render import page
from dashboards.signin import viewer_of
from dashboards.watch import AWAY, Follower, NodeWatch, Watches
from domain.errors import NotFound
from domain.nodes import NodeState
from domain.series import Selector
from schema import heartbeats, nodes, series
from schema.sessions import Viewer

RANGES = {
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "3h": "3 hours",
    "12h": "12 hours",
    "1d": "day",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "1y": "year",
}
STREAM_LASTS_S = 600.0
"""A stream ends after so long and the browser opens it again, which asks anew who is looking."""

LISTED_DAYS = 400
"""A metric the node has not sent for so long has no graph; those without samples in the shown range fold away."""

EVENT_STREAM = "text/event-stream"
Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/")
def start() -> Response:
    """The nodes are where one starts."""
    return RedirectResponse("/nodes", 307)


@router.get("/nodes")
async def list_nodes(request: Request, viewer: Viewing) -> Response:
    """The table of nodes, with what is known of them inside."""
    watch = _watch(request, viewer)
    known = _message(changes({}, await watch.look()), watch, is_whole=True)
    titles = {key: figure.title for key, figure in FIGURES.items()}
    return page(request, "nodes.html", viewer, place="nodes", known=known, states=list(NodeState), figures=titles)


@router.get("/nodes.json")
async def list_nodes_as_json(request: Request, viewer: Viewing, node: str | None = None) -> Response:
    """The same for browsers that no stream reaches."""
    watch = _watch(request, viewer)
    known = _of(changes({}, await watch.look()), node)
    return JSONResponse(_message(known, watch, is_whole=node is None), headers={"cache-control": "no-store"})


@router.get("/nodes/stream")
async def stream_nodes(request: Request, viewer: Viewing, node: str | None = None) -> Response:
    """Changes of all nodes, or of one, as server-sent events; a node may be called `stream` too."""
    if EVENT_STREAM not in request.headers.get("accept", ""):
        return await show_node("stream", request, viewer)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(_watch(request, viewer), node, request.app.state.stopping)
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)


@router.get("/nodes/{name:path}")
async def show_node(name: str, request: Request, viewer: Viewing, part: str = "") -> Response:
    """A node and all its graphs; `part=groups` is only the graphs. Raises NotFound."""
    stores = request.app.state.stores
    node = await to_thread.run_sync(nodes.find, stores.control, viewer.account_id, name)
    if node is None:
        raise NotFound(f"There is no node {name} in this account")
    groups = await _groups(request, viewer, name)
    if part == "groups":
        return page(request, "_groups.html", viewer, groups=groups)
    contact_s = await _contact_s(request, viewer, name)
    now_s = time()
    return page(
        request,
        "node.html",
        viewer,
        node=node,
        groups=groups,
        ranges=RANGES,
        contact_s=contact_s,
        contact_words=ago(None if contact_s is None else now_s - contact_s),
        registered_words=ago(now_s - node.registered_at.timestamp()),
    )


@router.get("/help/agent")
def help_with_agent(request: Request, viewer: Viewing) -> Response:
    """The guide that an account without nodes begins with."""
    return page(request, "help.html", viewer, place="help")


def render_problem(request: Request, status: int, title: str, detail: str) -> Response:
    """A problem as a page for a person."""
    return page(request, "problem.html", title=title, detail=detail, status=status, code=status)


async def _groups(request: Request, viewer: Viewer, name: str) -> tuple[Group, ...]:
    """The node's graphs; none while the store of samples is away, the page asks again by itself."""
    selector, since_s = Selector([], [name]), time() - LISTED_DAYS * 86_400
    ask = (request.app.state.stores.clickhouse, viewer.account_id, selector, since_s)
    try:
        found = await to_thread.run_sync(series.list_series, *ask)
    except AWAY:
        return ()
    return group(Latest(one.metric, one.labels, one.last_ts, one.last) for one in found)


async def _contact_s(request: Request, viewer: Viewer, name: str) -> float | None:
    try:
        contacts = await heartbeats.read_last_contact(request.app.state.stores.redis, viewer.account_id, [name])
    except AWAY:
        return None
    return contacts.get(name)


async def _events(watch: NodeWatch, node: str | None, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Server-sent events: all there is first, then what changes; an empty one when a look found nothing new.

    They end when the server stops, and do not make it wait.
    """
    ends_at = time() + STREAM_LASTS_S
    is_whole = node is None
    async with watch.follow() as follower, _woken_by(stopping, follower):
        while time() < ends_at and not stopping.is_set():
            news = _of(await follower.next(), node)
            message = json.dumps(_message(news, watch, is_whole=is_whole), separators=(",", ":"), ensure_ascii=False)
            is_whole = False
            yield f"event: nodes\ndata: {message}\n\n".encode()


@asynccontextmanager
async def _woken_by(stopping: asyncio.Event, follower: Follower) -> AsyncIterator[None]:
    waiting = asyncio.create_task(stopping.wait())
    waiting.add_done_callback(lambda _: follower.woken.set())
    try:
        yield
    finally:
        waiting.cancel()


def _message(news: Changes, watch: NodeWatch, *, is_whole: bool) -> dict[str, Any]:
    return {
        "now": time(),
        "whole": is_whole,
        "nodes": list(news.nodes.values()),
        "removed": sorted(news.removed),
        "away": sorted(watch.away),
    }


def _of(news: Changes, node: str | None) -> Changes:
    return news if node is None else news.only(node)


def _watch(request: Request, viewer: Viewer) -> NodeWatch:
    state = request.app.state
    if not hasattr(state, "watches"):
        state.watches = Watches(state.stores)
    watches: Watches = state.watches
    return watches.of(viewer.account_id)
