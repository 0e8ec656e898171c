"""What a link to a dashboard opens: that dashboard, without a session, and nothing else of the account."""

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboards.boards.common import show_board
from dashboards.render import page
from domain.errors import NotFound
from schema import shares

router = APIRouter()


@router.get("/shared/{token}")
def show(request: Request, token: str) -> Response:
    """The dashboard as it is now, to look at."""
    try:
        found = shares.find(request.app.state.stores.control, token, datetime.now(UTC))
    except NotFound as error:
        return page(request, "shared_gone.html", detail=error.detail, status=error.status)
    shown = found.dashboard
    told = {
        "id": found.id,
        "version": shown.version,
        "api": f"/api/v1/shared/{token}",
        "revision": None,
        "mayEdit": False,
        "fixed": dict(found.fixed),
    }
    answer = show_board(
        request,
        shown.document,
        None,
        told=told,
        address=f"/shared/{token}",
        shown=shown,
        last=shown,
        is_old=False,
        may_edit=False,
        said="",
        refusal="",
    )
    answer.headers["x-robots-tag"] = "noindex"
    answer.headers["referrer-policy"] = "no-referrer"  # the address is the secret
    return answer
