"""GET /api/v1/nodes/{name}/events: what happened to a node, and how it stood: what graphs lie over."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, described
from api.shapes import NodeEvents
from domain import history
from domain.errors import InvalidQuery, NotFound
from domain.events import Event
from domain.history import STANDINGS, Period
from domain.series import Window, instant
from schema import node_events, nodes
from schema.node_events import Recorded

router = APIRouter()
EVENTS_MAX = 1_000
"""So many of the newest are told; a node that changes more often in the window is told so."""


@router.get(
    "/api/v1/nodes/{name:path}/events",
    **described(gives=NodeEvents, problems=(*READING, NotFound), who=KEY_OR_SESSION),
)
async def get_node_events(
    name: str,
    request: Request,
    since: Annotated[str, Query(alias="from")] = "now-1d",
    until: Annotated[str, Query(alias="to")] = "now",
) -> Response:
    """The events of a node in a window, oldest first, and the periods they make. Raises NotFound."""
    principal = await authenticate_reader(request)
    now_s = time.time()
    window = _window(instant(since, now_s), instant(until, now_s))
    control = request.app.state.stores.control
    node = await asyncio.to_thread(nodes.find, control, principal.account_id, name)
    if node is None:
        raise NotFound(f"There is no node {name} in this account")
    since_at, until_at = (datetime.fromtimestamp(at_s, UTC) for at_s in (window.from_s, window.to_s))
    recorded = await asyncio.to_thread(node_events.between, control, node, since_at, until_at, EVENTS_MAX)
    found = _periods(recorded, window, now_s)
    reply = {
        "node": name,
        "from_s": window.from_s,
        "to_s": window.to_s,
        "online_share": history.online_share(found),
        "periods": found,
        "events": [_told(event) for event in recorded.events],
        "is_cut": recorded.is_cut,
    }
    return Response(msgspec.json.encode(reply), media_type="application/json", headers={"Cache-Control": "no-store"})


def _window(from_s: float, to_s: float) -> Window:
    if not from_s < to_s:
        raise InvalidQuery("`to` must lie after `from`")
    return Window(max(from_s, 0.0), max(to_s, 0.0))


def _periods(recorded: Recorded, window: Window, now_s: float) -> list[Period]:
    """Up to now: nobody knows yet how it will stand."""
    steps = [(event.at.timestamp(), STANDINGS[event.type]) for event in recorded.events if event.type in STANDINGS]
    before = STANDINGS[recorded.before.type] if recorded.before else None
    from_s = recorded.events[0].at.timestamp() if recorded.is_cut else window.from_s
    return list(history.periods(before, steps, from_s, max(from_s, min(window.to_s, now_s))))


def _told(event: Event) -> dict[str, Any]:
    return {
        "version": event.version,
        "type": event.type,
        "at": event.at.timestamp(),
        "actor": event.actor,
        "payload": event.payload,
    }
