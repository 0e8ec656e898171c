"""The guide to a first node: lines to install the agent, and live underneath what arrives at the door.

It opens an account without nodes, and is on demand from every page. The stream looks at the door log of its account
twice a second; one viewer costs Redis one short read then, and there are never more than FOLLOWERS_MAX.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic, time
from typing import Annotated

import msgspec
from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response, StreamingResponse

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.sight import Sight
from dashboards.signin import viewer_of
from domain.door import Entry
from domain.errors import LimitReached, MetristError, Overloaded, StoreUnavailable
from domain.keys import Scope
from domain.permissions import Permission, require
from schema import api_keys, door
from schema.door import START, Position
from schema.sessions import Viewer

KEY_NAME = "agent"
LOOK_EVERY_S = 0.5
SPEAK_EVERY_S = 10.0
STREAM_LASTS_S = 600.0
FOLLOWERS_MAX = 200
"""Open streams of a process; the page of one more asks now and then instead."""
_POSITION = re.compile(r"\d{1,20}-\d{1,20},\d{1,20}-\d{1,20}")

Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/help/agent")
def show(request: Request, viewer: Viewing) -> Response:
    """The guide."""
    return _page(request, viewer)


@router.post("/help/agent", dependencies=[Depends(require_same_origin)])
def make_key(request: Request, viewer: Viewing) -> Response:
    """The guide with a new key in all its lines, this once."""
    require(viewer.role, Permission.MANAGE_KEYS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        made = api_keys.create(control, viewer.account_id, KEY_NAME, [Scope.INGEST], now, actor=viewer.actor)
    except LimitReached as refusal:
        return _page(request, viewer, refusal=refusal)
    return _page(request, viewer, made.secret)


@router.get("/help/agent/door")
async def look(request: Request, viewer: Viewing, after: str = "") -> Response:
    """What arrived at the door after a position, for browsers that no stream reaches."""
    entries, position = await door.read(request.app.state.stores.redis, viewer.account_id, _position(after))
    headers = {"cache-control": "no-store"}
    return Response(_message(viewer, entries, position), media_type="application/json", headers=headers)


@router.get("/help/agent/stream")
async def follow(
    request: Request, viewer: Viewing, after: str = "", last_event_id: Annotated[str, Header()] = ""
) -> Response:
    """What arrives at the door as server-sent events: first what is kept, then each attempt as it comes."""
    if _followers(request) >= FOLLOWERS_MAX:
        raise Overloaded("Too many pages follow the door just now; this one looks again by itself")
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    events = _events(request, viewer, _position(last_event_id or after))
    return StreamingResponse(events, media_type="text/event-stream", headers=headers)


def _page(request: Request, viewer: Viewer, secret: str | None = None, refusal: MetristError | None = None) -> Response:
    status = refusal.status if refusal else 200
    said = refusal.detail if refusal else ""
    return page(request, "help.html", viewer, place="help", secret=secret, refusal=said, status=status)


async def _events(request: Request, viewer: Viewer, position: Position) -> AsyncIterator[bytes]:
    """They end with the viewer's right to look, when the server stops, and after ten minutes: then one asks anew."""
    state = request.app.state
    state.door_followers = _followers(request) + 1
    sight, ends_at, speak_at = Sight(request, viewer), monotonic() + STREAM_LASTS_S, 0.0
    try:
        while (now := monotonic()) < ends_at and not state.stopping.is_set() and await sight.lasts():
            entries, position = await _news(request, viewer, position)
            if entries or now >= speak_at:
                speak_at = now + SPEAK_EVERY_S
                message = _message(viewer, entries, position)
                yield b"event: door\nid: %b\ndata: %b\n\n" % (",".join(position).encode(), message)
            with suppress(TimeoutError):
                await asyncio.wait_for(state.stopping.wait(), LOOK_EVERY_S)
    finally:
        state.door_followers -= 1


async def _news(request: Request, viewer: Viewer, position: Position) -> tuple[Sequence[Entry], Position]:
    """What came since; nothing while Redis is away."""
    try:
        return await door.read(request.app.state.stores.redis, viewer.account_id, position)
    except StoreUnavailable:
        return (), position


def _followers(request: Request) -> int:
    count: int = getattr(request.app.state, "door_followers", 0)
    return count


def _message(viewer: Viewer, entries: Sequence[Entry], position: Position) -> bytes:
    """With the account, as its person may have switched to another one in another tab."""
    told = {"now": time(), "account": viewer.account_id, "after": ",".join(position), "entries": entries}
    return msgspec.json.encode(told)


def _position(text: str) -> Position:
    """Where a browser left off; the start for one that does not say, or makes it up."""
    return tuple(text.split(",")) if _POSITION.fullmatch(text) else START
