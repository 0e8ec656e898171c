"""What the pages of monitors share: who looks, what is said after a change, and how a change is told to nodes."""

from contextlib import suppress
from typing import Annotated
from urllib.parse import urlencode

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.headers import require_same_origin
from dashboards.signin import viewer_of
from domain.errors import InvalidBody, LimitReached, NotFound, Outdated, Overloaded, StoreUnavailable
from schema import monitor_runs
from schema.monitors import Monitor
from schema.sessions import Viewer

Viewing = Annotated[Viewer, Depends(viewer_of)]
SAFELY = [Depends(require_same_origin)]
"""For every route that changes something."""
REFUSALS = (InvalidBody, LimitReached, NotFound, Outdated, Overloaded)
"""What a page answers itself, above its form, so that nobody has to go back and type again."""

HERE = "/monitors"
SAID = {
    "saved": "Saved. No node runs this version until it is pushed.",
    "unchanged": "Nothing was changed.",
    "pushed": "On its way: one node runs it first, then a share of them, then all.",
    "paused": "Paused. Its nodes stop running it with their next check-in.",
    "resumed": "Its nodes run it again from their next check-in.",
    "removed": "The monitor is removed. Its samples stay as long as all others do.",
}
"""What a page says after a change, by the word that its address carries."""


def place(name: str, part: str = "", **query: str) -> str:
    """The address of a monitor, or of one of its pages."""
    return f"{HERE}/{name}{'/' if part else ''}{part}{'?' if query else ''}{urlencode(query)}"


def go(address: str) -> Response:
    """On to a page after a change; reloading it repeats nothing."""
    return RedirectResponse(address, 303)


def said(request: Request) -> str:
    """The news of what was just done, if any."""
    return SAID.get(request.query_params.get("said", ""), "")


async def tell(request: Request, monitor: Monitor, *, anew: bool = False) -> None:
    """Have nodes hear of a change at once; while Redis is away they do within half a minute.

    anew  its runs are counted from now on: a version is pushed
    """
    redis = request.app.state.stores.redis
    with suppress(StoreUnavailable):
        if anew:
            await monitor_runs.forget(redis, monitor.account_id, monitor.id)
        await monitor_runs.tell_changed(redis, monitor.account_id)
