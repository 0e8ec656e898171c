"""Keeping a live view: its data become samples of the node, and a link opens them again."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.signin import viewer_of
from domain import live as rules
from domain.errors import NotFound
from domain.permissions import Permission, require
from schema import nodes, recordings
from schema.recordings import Recording
from schema.sessions import Viewer

router = APIRouter(include_in_schema=False)
Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]


@router.get("/recordings.json")
def list_recordings(request: Request, viewer: Viewing, node: str) -> Response:
    """A node's recordings, the newest first."""
    found = recordings.list_for(request.app.state.stores.control, viewer.account_id, node)
    return JSONResponse({"recordings": [_told(one) for one in found]}, headers={"cache-control": "no-store"})


@router.post("/recordings", dependencies=SAFELY)
async def start(
    request: Request,
    viewer: Viewing,
    node: Annotated[str, Form()],
    metric: Annotated[list[str], Form(max_length=rules.METRICS_MAX)],
    every_ms: Annotated[int, Form()] = 1_000,
    minutes: Annotated[float, Form()] = 5,
    note: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Keep what some metrics of a node stream, from now on. Raises NotFound, InvalidQuery, InvalidBody, Overloaded."""
    require(viewer.role, Permission.RECORD)
    wish = rules.wish(node, metric, every_ms)
    stores, now = request.app.state.stores, datetime.now(UTC)
    if await to_thread.run_sync(nodes.find, stores.control, viewer.account_id, node) is None:
        raise NotFound(f"There is no node {node} in this account")

    def begin() -> Recording:
        lasts = timedelta(minutes=minutes)
        return recordings.start(stores.control, viewer.account_id, wish, lasts, note, now, actor=viewer.actor)

    begun = await to_thread.run_sync(begin)
    await recordings.keep(stores.redis, begun, now)
    return JSONResponse(_told(begun), 201)


@router.post("/recordings/{recording_id}/stop", dependencies=SAFELY)
async def stop(request: Request, viewer: Viewing, recording_id: UUID) -> Response:
    """End a recording before its time. Raises NotFound."""
    require(viewer.role, Permission.RECORD)
    stores, now = request.app.state.stores, datetime.now(UTC)

    def end() -> Recording:
        return recordings.stop(stores.control, viewer.account_id, recording_id, now, actor=viewer.actor)

    ended = await to_thread.run_sync(end)
    await recordings.let_go(stores.redis, ended, now)
    return JSONResponse(_told(ended))


@router.get("/recordings/{recording_id}")
def show(request: Request, viewer: Viewing, recording_id: UUID) -> Response:
    """The node's page at the time of the recording: a link that can be passed on. Raises NotFound."""
    found = recordings.find(request.app.state.stores.control, viewer.account_id, recording_id)
    return RedirectResponse(_place(found), 303)


def _told(found: Recording) -> dict[str, Any]:
    return {
        "id": str(found.id),
        "node": found.node,
        "metrics": list(found.metrics),
        "every_ms": found.every_ms,
        "note": found.note,
        "started_s": found.started_at.timestamp(),
        "ends_s": found.ends_at.timestamp(),
        "href": f"/recordings/{found.id}",
    }


def _place(found: Recording) -> str:
    start_s, end_s = int(found.started_at.timestamp()), int(found.ends_at.timestamp()) + 1
    return f"/nodes/{quote(found.node)}?from={start_s}&to={end_s}#graphs"
