"""A dashboard's page, for looking and for editing; and the file it is exported to."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from dashboards.boards.common import Viewing, place, said, show_board
from domain.dashboards import export
from domain.ids import VERSION_MAX
from domain.permissions import Permission, may
from schema import dashboards
from schema.dashboards import Dashboard
from schema.sessions import Viewer

HERE = "/dashboards/{dashboard_id}"

router = APIRouter()


@router.get(HERE)
def show(
    request: Request,
    viewer: Viewing,
    dashboard_id: UUID,
    revision: Annotated[int | None, Query(ge=0, le=VERSION_MAX)] = None,
) -> Response:
    """A dashboard as it is now, or as it was in a revision. Raises NotFound."""
    control = request.app.state.stores.control
    last = dashboards.find(control, viewer.account_id, dashboard_id)
    if revision is None or revision == last.version:
        return _show(request, viewer, last, last)
    old = dashboards.find_revision(control, viewer.account_id, dashboard_id, revision)
    return _show(request, viewer, old, last)


@router.get(f"{HERE}/export")
def export_one(request: Request, viewer: Viewing, dashboard_id: UUID) -> Response:
    """The dashboard as a file for another account, another platform, or version control. Raises NotFound."""
    found = dashboards.find(request.app.state.stores.control, viewer.account_id, dashboard_id)
    disposition = f'attachment; filename="{file_name(found.document.title)}"'
    headers = {"content-disposition": disposition, "cache-control": "no-store"}
    return Response(export(found.document), media_type="application/json", headers=headers)


def file_name(title: str) -> str:
    """`Web servers (EU)` → web-servers-eu.json"""
    words = re.findall(r"[a-z0-9]+", title.lower())
    return ("-".join(words)[:60] or "dashboard") + ".json"


def _show(request: Request, viewer: Viewer, shown: Dashboard, last: Dashboard) -> Response:
    is_old = shown is not last
    may_edit = may(viewer.role, Permission.EDIT_DASHBOARDS)
    told = {
        "id": str(shown.id),
        "version": shown.version,
        "api": f"/api/v1/dashboards/{shown.id}",
        "revision": shown.version if is_old else None,
        "mayEdit": may_edit and not is_old,
    }
    return show_board(
        request,
        shown.document,
        viewer,
        told=told,
        address=place(shown.id),
        shown=shown,
        last=last,
        is_old=is_old,
        may_edit=may_edit,
        said=said(request),
        refusal="",
    )
