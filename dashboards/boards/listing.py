"""The list of dashboards, and the ways to a new one: empty, from a file, as a copy, from a node's graphs."""

from datetime import UTC, datetime
from time import time
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import Response

from dashboards.boards.common import REFUSALS, SAFELY, Viewing, go, place, said
from dashboards.boards.from_node import dashboard_of
from dashboards.charts import Latest, group
from dashboards.render import page
from domain import dashboards as rules
from domain.dashboards import DOCUMENT_MAX_BYTES, TITLE_MAX_CHARS, Document
from domain.errors import MetristError, NotFound
from domain.permissions import Permission, require
from domain.series import Selector
from schema import dashboards, nodes, series
from schema.sessions import Viewer

HERE = "/dashboards"
LISTED_DAYS = 30
"""A metric that a node has not sent for so long is not taken into its dashboard."""

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """All dashboards of the account."""
    return _show(request, viewer)


@router.post(HERE, dependencies=SAFELY)
def create(request: Request, viewer: Viewing, title: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """An empty dashboard, open for editing."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    try:
        return _make(request, viewer, rules.new(title), edit="1")
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, title=title)


@router.post(f"{HERE}/import", dependencies=SAFELY)
def import_one(
    request: Request,
    viewer: Viewing,
    file: UploadFile | None = None,
    text: Annotated[str, Form(max_length=4 * DOCUMENT_MAX_BYTES)] = "",
) -> Response:
    """A dashboard from an exported file, or from its text."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    data = file.file.read(DOCUMENT_MAX_BYTES + 1) if file is not None and file.filename else text.encode()
    try:
        return _make(request, viewer, rules.read(data))
    except REFUSALS as refusal:
        return _show(request, viewer, refusal=refusal, text=text)


@router.post(f"{HERE}/from-node", dependencies=SAFELY)
def create_from_node(request: Request, viewer: Viewing, node: Annotated[str, Form(max_length=1_000)] = "") -> Response:
    """The graphs of a node's own page as a dashboard, in which any node can be chosen. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    stores = request.app.state.stores
    if nodes.find(stores.control, viewer.account_id, node) is None:
        raise NotFound(f"There is no node {node} in this account")
    since_s = time() - LISTED_DAYS * 86_400
    found = series.list_series(stores.clickhouse, viewer.account_id, Selector([], [node]), since_s)
    groups = group(Latest(one.metric, one.labels, one.last_ts, one.last) for one in found)
    return _make(request, viewer, dashboard_of(node, groups))


@router.post(f"{HERE}/{{dashboard_id}}/duplicate", dependencies=SAFELY)
def duplicate(request: Request, viewer: Viewing, dashboard_id: UUID) -> Response:
    """A copy under a title of its own. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    found = dashboards.find(request.app.state.stores.control, viewer.account_id, dashboard_id)
    return _make(request, viewer, rules.copy(found.document))


@router.post(f"{HERE}/{{dashboard_id}}/delete", dependencies=SAFELY)
def delete(request: Request, viewer: Viewing, dashboard_id: UUID) -> Response:
    """End a dashboard, and every link to it. Raises NotFound."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    dashboards.delete(control, viewer.account_id, dashboard_id, now, actor=viewer.actor)
    return go(f"{HERE}?said=deleted")


def _make(request: Request, viewer: Viewer, document: Document, **query: str) -> Response:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    made = dashboards.create(control, viewer.account_id, document, now, actor=viewer.actor)
    return go(place(made.id, **query))


def _show(
    request: Request, viewer: Viewer, *, refusal: MetristError | None = None, title: str = "", text: str = ""
) -> Response:
    """The list; `title` and `text` are what stands in the forms."""
    return page(
        request,
        "boards.html",
        viewer,
        place="dashboards",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal else said(request),
        boards=dashboards.list_for(request.app.state.stores.control, viewer.account_id),
        form={"title": title, "text": text},
        title_max=TITLE_MAX_CHARS,
    )
