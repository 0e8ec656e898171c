"""What the pages of conditions share: who looks, where they are, what is said after a change, words for states."""

from typing import Annotated, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.signin import viewer_of
from domain.errors import Conflict, InvalidBody, InvalidQuery, LimitReached, NotFound
from domain.evaluation import Group
from domain.query import matcher_text
from schema.sessions import Viewer

HERE: Final = "/conditions"
Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
"""For every route that changes something."""
REFUSALS = (InvalidBody, InvalidQuery, LimitReached, NotFound, Conflict)
"""What a page answers itself, above its form, so that nobody has to go back and type again."""

SAID = {
    "made": "Made. It is judged from now on.",
    "changed": "Saved.",
    "paused": "Paused. What it said is over, and whoever was told that it fires is told so.",
    "resumed": "It is judged again from now on.",
    "deleted": "The condition is deleted.",
    "acknowledged": "Acknowledged. It is not told again while it lasts; that it is over is told.",
}
"""What a page says after a change, by the word that its address carries."""


def said(request: Request) -> str:
    """The news of what was just done, if any."""
    return SAID.get(request.query_params.get("said", ""), "")


def place(condition_id: UUID, part: str = "", **query: str | int) -> str:
    """The address of a condition's page, or of one of its parts."""
    return f"{HERE}/{condition_id}{'/' if part else ''}{part}{'?' if query else ''}{urlencode(query)}"


def go(address: str) -> Response:
    """On to a page after a change; reloading it repeats nothing."""
    return RedirectResponse(address, 303)


def silence_address(condition: str, group: Group) -> str:
    """Where a silence of just this is made."""
    match = [matcher_text("condition", "=", condition)]
    match += [matcher_text(label, "=", text) for label, text in sorted(group.labels.items())]
    return f"/silences?{urlencode({'match': chr(10).join(match)})}"


def group_name(group: Group) -> str:
    """A group for people: node web-1, device sda."""
    labels = dict(group.labels)
    node = [labels.pop("node")] if "node" in labels else []
    return ", ".join([*node, *(f"{label} {text}" for label, text in sorted(labels.items()))])
