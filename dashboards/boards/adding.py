"""The way from the explorer to a dashboard: its graph becomes a panel of one that is there, or of a new one."""

import secrets
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qs, parse_qsl, urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.boards.common import REFUSALS, SAFELY, Viewing, go, place
from dashboards.render import page
from domain import dashboards as rules
from domain.dashboards import TITLE_MAX_CHARS
from domain.errors import InvalidQuery, MetristError, NotFound, Outdated
from domain.permissions import Permission, require
from domain.query import Graph, from_url, to_url
from schema import dashboards
from schema.sessions import Viewer

HERE = "/dashboards/add"
_TRIES = 3
_WHEN = ("range", "from", "to")
"""What an address says of the stretch of time; the dashboard opens with the same."""

router = APIRouter()


@router.get(HERE)
def show(request: Request, viewer: Viewing) -> Response:
    """Ask which dashboard; the address is that of the graph in the explorer. Raises InvalidQuery."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    if not from_url(parse_qsl(request.url.query, keep_blank_values=True)).queries:
        return go("/explore")
    return _show(request, viewer, request.url.query)


@router.post(HERE, dependencies=SAFELY)
def add(
    request: Request,
    viewer: Viewing,
    graph: Annotated[str, Form(max_length=20_000)] = "",
    dashboard: Annotated[str, Form(max_length=100)] = "",
    new: Annotated[str, Form(max_length=1_000)] = "",
    title: Annotated[str, Form(max_length=1_000)] = "",
) -> Response:
    """Put the graph on a dashboard, and go there; `dashboard` is empty for a new one, which is called `new`."""
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    panel_id = secrets.token_hex(5)
    try:
        made = _put(request, viewer, dashboard, new, _read(graph), " ".join(title.split()), panel_id)
    except REFUSALS as refusal:
        return _show(request, viewer, graph, refusal=refusal, chosen=dashboard, new=new, title=title)
    when = {name: said[0] for name, said in parse_qs(graph).items() if name in _WHEN}
    return go(f"{place(made)}{'?' if when else ''}{urlencode(when)}#panel-{panel_id}")


def _put(request: Request, viewer: Viewer, dashboard: str, new: str, graph: Graph, title: str, panel_id: str) -> UUID:
    control, now = request.app.state.stores.control, datetime.now(UTC)
    if not dashboard:
        document = rules.add(rules.new(new), graph, title, panel_id)
        return dashboards.create(control, viewer.account_id, document, now, actor=viewer.actor).id
    dashboard_id = _id(dashboard)
    for left in reversed(range(_TRIES)):
        last = dashboards.find(control, viewer.account_id, dashboard_id)
        document = rules.add(last.document, graph, title, panel_id)
        try:
            dashboards.save(control, viewer.account_id, dashboard_id, document, last.version, now, actor=viewer.actor)
        except Outdated:  # someone saved it this moment; the panel finds a place beside what is new
            if not left:
                raise
        else:
            break
    return dashboard_id


def _read(address: str) -> Graph:
    """The graph of an explorer's address. Raises InvalidQuery."""
    graph = from_url(parse_qsl(address, keep_blank_values=True))
    if not graph.queries:
        raise InvalidQuery("there is no graph in this address: make one in the explorer, and add it from there")
    return graph


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(dashboards.GONE) from None


def _show(
    request: Request,
    viewer: Viewer,
    address: str,
    *,
    refusal: MetristError | None = None,
    chosen: str = "",
    new: str = "",
    title: str = "",
) -> Response:
    """The page; what was typed stands in the form again."""
    graph = _read(address)
    when = [(name, said) for name, said in parse_qsl(address) if name in _WHEN]
    return page(
        request,
        "board_add.html",
        viewer,
        place="dashboards/add",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="",
        graph="&".join(part for part in (to_url(graph), urlencode(when)) if part),
        metrics=list(dict.fromkeys(query.metric for query in graph.queries)),
        boards=dashboards.list_for(request.app.state.stores.control, viewer.account_id),
        form={"chosen": chosen, "new": new, "title": title},
        title_max=TITLE_MAX_CHARS,
    )
