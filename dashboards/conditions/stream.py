"""What is not ok of some metrics, as server-sent events, for the badges of dashboards."""

import asyncio
from collections.abc import AsyncIterator
from time import time
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from dashboards.badges import told
from dashboards.conditions.common import HERE, Viewing
from dashboards.sight import Sight
from dashboards.unwell_watch import UnwellWatch, unwell_watch_of

STREAM_LASTS_S: Final = 600.0
"""A stream ends after so long and the browser opens it again, which asks anew who is looking."""
SIGN_EVERY_S: Final = 5.0
METRICS_MAX: Final = 200
TOLD_MAX: Final = 500

router = APIRouter()


@router.get(f"{HERE}/stream")
async def stream(
    request: Request, viewer: Viewing, metric: Annotated[list[str] | None, Query(max_length=METRICS_MAX)] = None
) -> Response:
    """All that is not ok of these metrics, at once and whenever it changes."""
    watch = unwell_watch_of(request.app.state, viewer.account_id)
    found = _events(watch, frozenset(metric or ()), Sight(request, viewer), request.app.state.stopping)
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(found, media_type="text/event-stream", headers=headers)


async def _events(
    watch: UnwellWatch, metrics: frozenset[str], sight: Sight, stopping: asyncio.Event
) -> AsyncIterator[bytes]:
    woken, ends_at = asyncio.Event(), time() + STREAM_LASTS_S
    before: bytes | None = None
    await watch.look()
    async with watch.follow(woken):
        while time() < ends_at and not stopping.is_set():
            try:
                await asyncio.wait_for(woken.wait(), SIGN_EVERY_S)
            except TimeoutError:
                yield b": all is as told\n\n"
            woken.clear()
            if not await sight.lasts():
                return
            message = msgspec.json.encode({"statuses": told(watch.unwell.found, metrics, TOLD_MAX)})
            if message != before:
                before = message
                yield b"event: statuses\ndata: " + message + b"\n\n"
