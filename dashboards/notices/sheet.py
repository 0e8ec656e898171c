"""What the pages of notices share: who looks, what was done, what was refused."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.render import page
from dashboards.signin import viewer_of
from domain.errors import Conflict, InvalidBody, InvalidQuery, LimitReached, MetristError, NotFound
from schema.sessions import Viewer

Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
"""For every route that changes something."""
REFUSALS = (InvalidBody, InvalidQuery, NotFound, LimitReached, Conflict)
"""What a page answers itself, above its form, so that nobody has to go back and type again."""
SAID = {
    "saved": "Saved.",
    "removed": "Deleted. The log of what it was told stays.",
    "on": "The channel is on.",
    "off": "The channel is off: what waited for it is not sent, and what comes is not told there.",
    "asked": "An e-mail is on its way to this address, with a link to confirm it.",
    "route": "The route is saved. It decides from the next notice on.",
    "moved": "The order is changed.",
    "route-removed": "The route is deleted.",
    "silenced": "The silence is saved.",
    "ended": "The silence is ended; what it held is told now, unless something else holds it.",
    "again": "It is on its way once more.",
}
"""What a page says after a change, by the word that its address carries."""


def done(address: str, word: str) -> Response:
    """Back to a page, which then says that it is done; reloading it repeats nothing."""
    return RedirectResponse(f"{address}?said={word}", 303)


def sheet(
    request: Request,
    viewer: Viewer,
    template: str,
    place: str,
    *,
    refusal: MetristError | None = None,
    **context: Any,
) -> Response:
    """A page, under the refusal of what was just tried or the news of what was just done."""
    return page(
        request,
        template,
        viewer,
        place=f"conditions/{place}",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal else SAID.get(request.query_params.get("said", ""), ""),
        **context,
    )
