"""Links to a dashboard for people without a session: make one, see which work, end one."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.boards.common import REFUSALS, SAFELY, Viewing, given_values, go, place, said
from dashboards.render import page
from domain import shares as rules
from domain.dashboards import VARIABLES_MAX, choose
from domain.errors import MetristError
from domain.permissions import Permission, require
from schema import dashboards, shares
from schema.sessions import Viewer

HERE = "/dashboards/{dashboard_id}/share"

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing, dashboard_id: UUID) -> Response:
    """The links that work; the address carries the values of variables as they were chosen. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    return _show(request, viewer, dashboard_id)


@router.post(HERE, dependencies=SAFELY)
def create(
    request: Request,
    viewer: Viewing,
    dashboard_id: UUID,
    note: Annotated[str, Form(max_length=1_000)] = "",
    days: Annotated[str, Form(max_length=10)] = "",
    fixed: Annotated[list[str] | None, Form(max_length=VARIABLES_MAX)] = None,
) -> Response:
    """A link, shown this once; `fixed` are variables with the values they stay at, `node=web-1`. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    document = dashboards.find(control, viewer.account_id, dashboard_id).document
    try:
        stays, lasts = rules.fixed(document, fixed or ()), rules.lasts(days)
        made = shares.create(control, viewer.account_id, dashboard_id, note, stays, lasts, now, actor=viewer.actor)
    except REFUSALS as refusal:
        return _show(request, viewer, dashboard_id, refusal=refusal, note=note, days=days)
    return _show(request, viewer, dashboard_id, made=made)


@router.post(f"{HERE}/{{share_id}}/revoke", dependencies=SAFELY)
def revoke(request: Request, viewer: Viewing, dashboard_id: UUID, share_id: str) -> Response:
    """End a link, from the next request on."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    shares.revoke(control, viewer.account_id, dashboard_id, share_id, now, actor=viewer.actor)
    return go(place(dashboard_id, "share", said="revoked"))


def _show(
    request: Request,
    viewer: Viewer,
    dashboard_id: UUID,
    *,
    refusal: MetristError | None = None,
    made: shares.NewShare | None = None,
    note: str = "",
    days: str = "",
) -> Response:
    """The page; `note` and `days` are what stands in the form."""
    control, now = request.app.state.stores.control, datetime.now(UTC)
    found = dashboards.find(control, viewer.account_id, dashboard_id)
    base_url = request.app.state.settings.base_url
    return page(
        request,
        "board_share.html",
        viewer,
        place="dashboards/share",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal or made else said(request),
        board=found,
        address=place(dashboard_id),
        values=choose(found.document, given_values(request)),
        links=shares.list_for(control, viewer.account_id, dashboard_id, now),
        made=made,
        link=f"{base_url}/shared/{made.token}" if made else "",
        lasts=list(rules.LASTS),
        form={"note": note, "days": days},
    )
