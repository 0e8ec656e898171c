"""The list of nodes over HTTP: a page that works without JavaScript, and the stream that keeps it current."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response, StreamingResponse

from dashboards import node_page
from dashboards.node_list.figures import FIGURES
from dashboards.node_list.followers import Follower
from dashboards.node_list.index import Standing
from dashboards.node_list.query import NodeQuery, parse_query
from dashboards.node_list.rows import BLANK
from dashboards.render import page
from dashboards.sight import Sight
from dashboards.signin import viewer_of
from dashboards.watch import NodeWatch, watch_of
from schema.sessions import Viewer

STREAM_LASTS_S = 600.0
"""A stream ends after so long and the browser opens it again, which asks anew who is looking."""
EVENT_STREAM = "text/event-stream"
CHIPS = {
    "": "Active",
    Standing.ONLINE: "Online",
    Standing.LATE: "Late",
    Standing.OFFLINE: "Offline",
    Standing.DEREGISTERED: "Deregistered",
    Standing.ENDED: "Ended",
}
COLUMNS = (
    ("state", "State", ""),
    ("name", "Name", ""),
    ("", "Labels", ""),
    ("contact", "Last contact", ""),
    *((key, figure.title, "figure") for key, figure in FIGURES.items()),
)
"""What each sorts by, its title and its class."""
Viewing = Annotated[Viewer, Depends(viewer_of)]


async def asked(q: str = "", state: str = "", sort: str = "", page: str = "") -> NodeQuery:
    """What the address asks for."""
    return parse_query(q, state, sort, page)


Asked = Annotated[NodeQuery, Depends(asked)]

router = APIRouter(include_in_schema=False)


@router.get("/nodes")
async def list_nodes(request: Request, viewer: Viewing, query: Asked) -> Response:
    """A page of the list, with its rows inside."""
    watch = _watch(request, viewer)
    follower = await watch.open_list(query)
    return page(
        request,
        "nodes.html",
        viewer,
        place="nodes",
        query=query,
        rows=follower.rows(time()),
        summary=follower.summary(watch.away),
        chips=CHIPS,
        columns=COLUMNS,
        figures=FIGURES,
        blank=BLANK,
    )


@router.get("/nodes.json")
async def list_nodes_as_json(request: Request, viewer: Viewing, query: Asked, node: str | None = None) -> Response:
    """The same for browsers that no stream reaches; with `node` only that one."""
    watch = _watch(request, viewer)
    follower = await _open(watch, query, node)
    body = msgspec.json.encode(follower.message(time(), watch.away))
    return Response(body, media_type="application/json", headers={"cache-control": "no-store"})


@router.get("/nodes/stream")
async def stream_nodes(request: Request, viewer: Viewing, query: Asked, node: str | None = None) -> Response:
    """What changes in this list, or of one node, as server-sent events; a node may be called `stream` too."""
    if EVENT_STREAM not in request.headers.get("accept", ""):
        return await node_page.show_node("stream", request, viewer, request.query_params.get("part", ""))
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    watch = _watch(request, viewer)
    sight = Sight(request, viewer)
    events = _events(watch, await _open(watch, query, node), sight, request.app.state.stopping)
    return StreamingResponse(events, media_type=EVENT_STREAM, headers=headers)


async def _events(watch: NodeWatch, follower: Follower, sight: Sight, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """Server-sent events: first all that the page shows, then what changes.

    They end when the server stops, and soon after the viewer may look no more.
    """
    ends_at = time() + STREAM_LASTS_S
    async with watch.follow(follower), _woken_by(stopping, follower):
        while time() < ends_at and not stopping.is_set():
            await follower.woken.wait()
            follower.woken.clear()
            if not await sight.lasts():
                return
            message = follower.message(time(), watch.away)
            if message is not None:
                yield b"event: nodes\ndata: " + msgspec.json.encode(message) + b"\n\n"


async def _open(watch: NodeWatch, query: NodeQuery, node: str | None) -> Follower:
    return await watch.open_list(query) if node is None else await watch.open_node(node)


@asynccontextmanager
async def _woken_by(stopping: asyncio.Event, follower: Follower) -> AsyncIterator[None]:
    waiting = asyncio.create_task(stopping.wait())
    waiting.add_done_callback(lambda _: follower.woken.set())
    try:
        yield
    finally:
        waiting.cancel()


def _watch(request: Request, viewer: Viewer) -> NodeWatch:
    return watch_of(request.app.state, viewer.account_id)
