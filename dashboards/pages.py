"""The page of a node with its graphs, and the page of a problem."""

from time import time
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from dashboards.charts import Group, Latest, group
from dashboards.format import ago
from dashboards.render import page
from dashboards.signin import viewer_of
from dashboards.watch import AWAY
from domain.errors import NotFound
from domain.series import Selector
from schema import heartbeats, nodes, series
from schema.sessions import Viewer

RANGES = {
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "3h": "3 hours",
    "12h": "12 hours",
    "1d": "day",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "1y": "year",
}
USUAL_RANGE, YOUNG_RANGE, YOUNG_S = "1h", "15m", 1_800
"""What a node's page opens with; the little that a young node has sent would be lost in an hour."""

LISTED_DAYS = 400
"""A metric the node has not sent for so long has no graph; those without samples in the shown range fold away."""

Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/")
def start() -> Response:
    """The nodes are where one starts."""
    return RedirectResponse("/nodes", 307)


@router.get("/nodes/{name:path}")
async def show_node(name: str, request: Request, viewer: Viewing, part: str = "") -> Response:
    """A node and all its graphs; `part=groups` is only the graphs. Raises NotFound."""
    stores = request.app.state.stores
    node = await to_thread.run_sync(nodes.find, stores.control, viewer.account_id, name)
    if node is None:
        raise NotFound(f"There is no node {name} in this account")
    groups = await _groups(request, viewer, name)
    if part == "groups":
        return page(request, "_groups.html", viewer, groups=groups)
    contact_s = await _contact_s(request, viewer, name)
    now_s = time()
    age_s = now_s - node.registered_at.timestamp()
    return page(
        request,
        "node.html",
        viewer,
        node=node,
        groups=groups,
        ranges=RANGES,
        range=YOUNG_RANGE if age_s < YOUNG_S else USUAL_RANGE,
        contact_s=contact_s,
        contact_words=ago(None if contact_s is None else now_s - contact_s),
        registered_words=ago(age_s),
    )


def render_problem(request: Request, status: int, title: str, detail: str) -> Response:
    """A problem as a page for a person."""
    return page(request, "problem.html", title=title, detail=detail, status=status, code=status)


async def _groups(request: Request, viewer: Viewer, name: str) -> tuple[Group, ...]:
    """The node's graphs; none while the store of samples is away, the page asks again by itself."""
    selector, since_s = Selector([], [name]), time() - LISTED_DAYS * 86_400
    ask = (request.app.state.stores.clickhouse, viewer.account_id, selector, since_s)
    try:
        found = await to_thread.run_sync(series.list_series, *ask)
    except AWAY:
        return ()
    return group(Latest(one.metric, one.labels, one.last_ts, one.last) for one in found)


async def _contact_s(request: Request, viewer: Viewer, name: str) -> float | None:
    try:
        contacts = await heartbeats.read_last_contact(request.app.state.stores.redis, viewer.account_id, [name])
    except AWAY:
        return None
    return contacts.get(name)
