"""The revisions of a dashboard: who saved what when, and the way back to one."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.boards.common import SAFELY, Viewing, go, place
from dashboards.render import page
from domain.errors import Outdated
from domain.ids import VERSION_MAX
from domain.permissions import Permission, require
from schema import dashboards
from schema.sessions import Viewer

HERE = "/dashboards/{dashboard_id}/revisions"

router = APIRouter()
Number = Annotated[int, Form(ge=0, le=VERSION_MAX)]


@router.get(HERE)
def show(request: Request, viewer: Viewing, dashboard_id: UUID) -> Response:
    """The latest revisions, the newest first. Raises NotFound."""
    return _show(request, viewer, dashboard_id)


@router.post(HERE, dependencies=SAFELY)
def restore(
    request: Request,
    viewer: Viewing,
    dashboard_id: UUID,
    revision: Number,
    version: Number,
) -> Response:
    """Save an old revision as the newest; `version` is the one that was looked at. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    old = dashboards.find_revision(control, viewer.account_id, dashboard_id, revision)
    try:
        dashboards.save(
            control,
            viewer.account_id,
            dashboard_id,
            old.document,
            version,
            now,
            actor=viewer.actor,
            restored=revision,
        )
    except Outdated as refusal:
        return _show(request, viewer, dashboard_id, refusal)
    return go(place(dashboard_id, said="restored"))


def _show(request: Request, viewer: Viewer, dashboard_id: UUID, refusal: Outdated | None = None) -> Response:
    control = request.app.state.stores.control
    return page(
        request,
        "board_revisions.html",
        viewer,
        place="dashboards/revisions",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="",
        board=dashboards.find(control, viewer.account_id, dashboard_id),
        address=place(dashboard_id),
        revisions=dashboards.revisions(control, viewer.account_id, dashboard_id),
        most=dashboards.REVISIONS_LISTED,
    )
