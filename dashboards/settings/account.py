"""The account itself: its name."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import viewer_of
from domain.errors import InvalidBody
from domain.permissions import Permission, require
from schema import accounts
from schema.sessions import Viewer

HERE = "/settings/account"
Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """The account as it is."""
    return _page(request, viewer)


@router.post(f"{HERE}/name", dependencies=[Depends(require_same_origin)])
def rename(request: Request, viewer: Viewing, name: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """Give the account another name."""
    require(viewer.role, Permission.CONFIGURE)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    try:
        accounts.rename(control, viewer.account_id, name, now, actor=f"user/{viewer.user_id}")
    except InvalidBody as error:
        return _page(request, viewer, problem=error.detail)
    return RedirectResponse(HERE, 303)


def _page(request: Request, viewer: Viewer, problem: str = "") -> Response:
    status = 422 if problem else 200
    return page(request, "settings_account.html", viewer, place="settings/account", problem=problem, status=status)
