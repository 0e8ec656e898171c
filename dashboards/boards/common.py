"""What the pages of dashboards share: who looks, what is said after a change, and the page of one dashboard."""

from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.format import Unit
from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import viewer_of
from domain.dashboards import COLUMNS, HEIGHT_MAX, PANELS_MAX, VARIABLES_MAX, Document, as_json
from domain.errors import InvalidBody, LimitReached, NotFound, Outdated, TooLarge
from schema.sessions import Viewer

Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
"""For every route that changes something."""
REFUSALS = (InvalidBody, TooLarge, LimitReached, NotFound, Outdated)
"""What a page answers itself, above its form, so that nobody has to go back and type again."""

SAID = {
    "deleted": "The dashboard is deleted, and every link to it with it.",
    "restored": "Restored, as a new revision; nothing in between is lost.",
    "revoked": "The link is revoked; whoever opens it sees nothing any more.",
}
"""What a page says after a change, by the word that its address carries."""

VARIABLE = "var."
"""Before the name of a variable in an address; `static/board.js` writes the same."""

RANGES = ("15m", "1h", "3h", "12h", "1d", "7d", "30d", "90d")
"""Offered in the bar; any other can stand in the address."""


def place(dashboard_id: UUID, part: str = "", **query: str) -> str:
    """The address of a dashboard, or of one of its pages."""
    return f"/dashboards/{dashboard_id}{'/' if part else ''}{part}{'?' if query else ''}{urlencode(query)}"


def given_values(request: Request) -> dict[str, list[str]]:
    """Values of variables in an address: `?var.node=web-1&var.node=web-2`."""
    given = request.query_params
    return {name.removeprefix(VARIABLE): given.getlist(name) for name in given if name.startswith(VARIABLE)}


def go(address: str) -> Response:
    """On to a page after a change; reloading it repeats nothing."""
    return RedirectResponse(address, 303)


def said(request: Request) -> str:
    """The news of what was just done, if any."""
    return SAID.get(request.query_params.get("said", ""), "")


def show_board(
    request: Request, document: Document, viewer: Viewer | None, *, told: dict[str, Any], **context: Any
) -> Response:
    """The page of a dashboard; `told` is what its script needs to know besides the document."""
    limits = {"columns": COLUMNS, "height": HEIGHT_MAX, "panels": PANELS_MAX, "variables": VARIABLES_MAX}
    return page(
        request,
        "board.html",
        viewer,
        place="dashboards/board",
        document=document,
        ranges=RANGES,
        units=[unit.value for unit in Unit],
        told={**told, "document": as_json(document), "limits": limits},
        **context,
    )
