"""What the pages of the settings share: who looks, what was done, what was refused."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import viewer_of
from domain.errors import Conflict, Forbidden, InvalidBody, LimitReached, MetristError, NotFound
from schema.sessions import Viewer

Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
"""For every route that changes something."""
REFUSALS = (InvalidBody, Forbidden, NotFound, LimitReached, Conflict)
"""What a page answers itself, above its form, so that nobody has to go back and type again."""

SAID = {
    "renamed": "The account has its new name.",
    "configured": "Saved. Nodes are judged by it from the next look on.",
    "role": "The role is changed.",
    "removed": "They no longer belong to this account.",
    "transferred": "The account has its new owner; you are an admin now.",
    "withdrawn": "The invitation is revoked; its link works no more.",
    "revoked": "The key is revoked; whoever sends it is refused.",
    "you": "Saved.",
    "signed-out": "That session is signed out.",
    "others-out": "All other sessions are signed out.",
}
"""What a page says after a change, by the word that its address carries."""


def done(place: str, word: str) -> Response:
    """Back to a page of the settings, which then says that it is done; reloading it repeats nothing."""
    return RedirectResponse(f"/settings/{place}?said={word}", 303)


def sheet(
    request: Request, viewer: Viewer, place: str, *, refusal: MetristError | None = None, **context: Any
) -> Response:
    """A page of the settings, under the refusal of what was just tried or the news of what was just done."""
    return page(
        request,
        f"settings_{place}.html",
        viewer,
        place=f"settings/{place}",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal else SAID.get(request.query_params.get("said", ""), ""),
        **context,
    )
