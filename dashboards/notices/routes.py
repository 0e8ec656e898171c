"""Routes: which notices go to which channels, in order."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.notices.sheet import REFUSALS, SAFELY, Viewing, done, sheet
from domain.errors import InvalidBody, MetristError
from domain.permissions import Permission, require
from domain.silences import parse_match
from schema import channels, routes
from schema.routes import Draft
from schema.sessions import Viewer

HERE = "/routes"
REPEATS = {0: "never", 900: "15 minutes", 3_600: "hour", 14_400: "4 hours", 43_200: "12 hours", 86_400: "day"}
WAITS = {0: "not at all", 5: "5 seconds", 10: "10 seconds", 30: "30 seconds", 120: "2 minutes", 600: "10 minutes"}
NEW: dict[str, Any] = {
    "match": "", "channels": (), "group_by": "condition", "wait_s": 10, "repeat_s": 14_400, "continues": False,
}  # fmt: skip
router = APIRouter()
Text = Annotated[str, Form(max_length=5_000)]
Ids = Annotated[list[UUID] | None, Form(max_length=50)]


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """All of them, in the order in which they are asked."""
    return _show(request, viewer)


@router.post(HERE, dependencies=SAFELY)
def create(
    request: Request,
    viewer: Viewing,
    match: Text = "",
    channel: Ids = None,
    group_by: Text = "condition",
    wait_s: Annotated[int, Form()] = 10,
    repeat_s: Annotated[int, Form()] = 14_400,
    continues: Annotated[bool, Form()] = False,
) -> Response:
    """One more, asked last."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    typed = _typed(match, channel, group_by, wait_s, repeat_s, continues)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        routes.create(control, viewer.account_id, _draft(typed), now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, typed=typed)
    return done(HERE, "route")


@router.get(f"{HERE}/{{route_id}}")
def edit(request: Request, viewer: Viewing, route_id: UUID) -> Response:
    """The form of one. Raises NotFound."""
    found = routes.find(request.app.state.stores.control, viewer.account_id, route_id)
    typed = _typed(
        "\n".join(found.match), list(found.channel_ids), ", ".join(found.group_by), found.group_wait_s,
        found.repeat_s, found.continues,
    )  # fmt: skip
    return _show(request, viewer, typed=typed, route_id=route_id)


@router.post(f"{HERE}/{{route_id}}", dependencies=SAFELY)
def change(
    request: Request,
    viewer: Viewing,
    route_id: UUID,
    match: Text = "",
    channel: Ids = None,
    group_by: Text = "condition",
    wait_s: Annotated[int, Form()] = 10,
    repeat_s: Annotated[int, Form()] = 14_400,
    continues: Annotated[bool, Form()] = False,
) -> Response:
    """Another rule at the same place."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    typed = _typed(match, channel, group_by, wait_s, repeat_s, continues)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        routes.change(control, viewer.account_id, route_id, _draft(typed), now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, typed=typed, route_id=route_id)
    return done(HERE, "route")


@router.post(f"{HERE}/{{route_id}}/move", dependencies=SAFELY)
def move(request: Request, viewer: Viewing, route_id: UUID, up: Annotated[bool, Form()] = False) -> Response:
    """One place up or down."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    routes.move(control, viewer.account_id, route_id, -1 if up else 1, now, actor=viewer.actor)
    return done(HERE, "moved")


@router.post(f"{HERE}/{{route_id}}/remove", dependencies=SAFELY)
def remove(request: Request, viewer: Viewing, route_id: UUID) -> Response:
    """Delete it."""
    require(viewer.role, Permission.MANAGE_CHANNELS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    routes.remove(control, viewer.account_id, route_id, now, actor=viewer.actor)
    return done(HERE, "route-removed")


def _typed(
    match: str, channel: list[UUID] | None, group_by: str, wait_s: int, repeat_s: int, continues: bool
) -> dict[str, Any]:
    return {
        "match": match,
        "channels": tuple(dict.fromkeys(channel or ())),
        "group_by": group_by,
        "wait_s": wait_s,
        "repeat_s": repeat_s,
        "continues": continues,
    }


def _draft(typed: dict[str, Any]) -> Draft:
    labels = [label.strip() for label in typed["group_by"].split(",") if label.strip()]
    if len(set(labels)) < len(labels):
        raise InvalidBody("Name each label to group by once")
    match = parse_match(typed["match"])
    return Draft(match, typed["channels"], labels, typed["wait_s"], typed["repeat_s"], typed["continues"])


def _show(
    request: Request,
    viewer: Viewer,
    *,
    refusal: MetristError | None = None,
    typed: dict[str, Any] | None = None,
    route_id: UUID | None = None,
) -> Response:
    control = request.app.state.stores.control
    known = channels.list_for(control, viewer.account_id)
    return sheet(
        request,
        viewer,
        "routes.html",
        "routes",
        refusal=refusal,
        routes=routes.list_for(control, viewer.account_id),
        channels=known,
        names={channel.id: channel.name for channel in known},
        form=typed or NEW,
        route_id=route_id,
        repeats=REPEATS,
        waits=WAITS,
    )
