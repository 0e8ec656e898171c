"""Keeping a live view: its data become samples of the node, a list tells of them, and a link opens them again."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import viewer_of
from dashboards.watch import AWAY
from domain import live as rules
from domain.errors import NotFound
from domain.permissions import Permission, may, require
from schema import nodes, recording_sizes, recordings
from schema.recordings import LISTED, NOTE_MAX, Recording
from schema.sessions import Viewer

router = APIRouter(include_in_schema=False)
Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
HERE = "/recordings"
METRICS_SHOWN = 4
SAID = {
    "renamed": "Its name is changed.",
    "deleted": "It is off the list, and its link ends. The samples stay as long as all others do.",
    "stopped": "Nothing more is kept for it.",
}
"""What the list says after a change, by the word that its address carries."""


@router.get(HERE)
def show_list(request: Request, viewer: Viewing, node: str = "", said: str = "") -> Response:
    """All recordings of the account, or of one node: what was kept, by whom, how much it is."""
    stores, now = request.app.state.stores, datetime.now(UTC)
    found = recordings.list_for(stores.control, viewer.account_id, node)
    return page(
        request,
        "recordings.html",
        viewer,
        place="nodes/recordings",
        said=SAID.get(said, ""),
        refusal="",
        node=node,
        found=found,
        by=recordings.called_by(stores.control, found),
        sizes=_sizes(request, viewer, found),
        has_more=len(found) == LISTED,
        now=now,
        mine=lambda one: _may_change(viewer, one),
        note_max=NOTE_MAX,
        metrics_shown=METRICS_SHOWN,
        longest=recordings.LONGEST,
    )


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


@router.post("/recordings/{recording_id}/end", dependencies=SAFELY)
async def end(
    request: Request, viewer: Viewing, recording_id: UUID, of: Annotated[str, Form(max_length=1_000)] = ""
) -> Response:
    """As `stop`, from the list, which it goes back to. Raises NotFound."""
    await stop(request, viewer, recording_id)
    return _back(of, "stopped")


@router.post("/recordings/{recording_id}/name", dependencies=SAFELY)
def rename(
    request: Request,
    viewer: Viewing,
    recording_id: UUID,
    note: Annotated[str, Form(max_length=1_000)] = "",
    of: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Call it something else. Raises NotFound, Forbidden."""
    control, now = request.app.state.stores.control, datetime.now(UTC)
    _require_mine(viewer, recordings.find(control, viewer.account_id, recording_id))
    recordings.rename(control, viewer.account_id, recording_id, note, now, actor=viewer.actor)
    return _back(of, "renamed")


@router.post("/recordings/{recording_id}/delete", dependencies=SAFELY)
async def delete(
    request: Request, viewer: Viewing, recording_id: UUID, of: Annotated[str, Form(max_length=1_000)] = ""
) -> Response:
    """Take it off the list; one that runs ends. Raises NotFound, Forbidden."""
    stores, now = request.app.state.stores, datetime.now(UTC)

    def work() -> Recording:
        _require_mine(viewer, recordings.find(stores.control, viewer.account_id, recording_id))
        return recordings.delete(stores.control, viewer.account_id, recording_id, now, actor=viewer.actor)

    await recordings.let_go(stores.redis, await to_thread.run_sync(work), now)
    return _back(of, "deleted")


@router.get("/recordings/{recording_id}")
def show(request: Request, viewer: Viewing, recording_id: UUID) -> Response:
    """The node's page at the time of the recording: a link that can be passed on. Raises NotFound."""
    found = recordings.find(request.app.state.stores.control, viewer.account_id, recording_id)
    return RedirectResponse(_place(found), 303)


def _sizes(request: Request, viewer: Viewer, found: Sequence[Recording]) -> Mapping[UUID, int]:
    """Samples in each; none while the store of samples is away."""
    try:
        return recording_sizes.sizes(request.app.state.stores.clickhouse, viewer.account_id, found)
    except AWAY:
        return {}


def _may_change(viewer: Viewer, one: Recording) -> bool:
    """Whoever began it, and who looks after nodes."""
    return one.started_by == viewer.actor or may(viewer.role, Permission.MANAGE_NODES)


def _require_mine(viewer: Viewer, one: Recording) -> None:
    if one.started_by != viewer.actor:
        require(viewer.role, Permission.MANAGE_NODES)


def _back(node: str, said: str) -> Response:
    """To the list, of the node that it was of; reloading it repeats nothing."""
    return RedirectResponse(f"{HERE}?{urlencode({'node': node, 'said': said} if node else {'said': said})}", 303)


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
