"""What the page of a dashboard asks for: the lines of a panel, the values of a variable, and to be saved.

The panels of a link are asked for by their ids alone: what is read is what was saved, whoever asks.
"""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, TypeVar
from uuid import UUID

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body
from api.auth import authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, WITH_BODY, described
from api.shapes import QueryAnswer, Saved, VariableValues
from api.sharing import Readers
from dashboards import answers
from dashboards.answers import Asked
from dashboards.headers import require_same_origin
from dashboards.signin import viewer_of
from domain import dashboards as rules
from domain import series as planning
from domain.dashboards import DOCUMENT_MAX_BYTES, Document
from domain.errors import (
    Conflict,
    InvalidQuery,
    LimitReached,
    NotFound,
    Outdated,
    Overloaded,
    StoreUnavailable,
)
from domain.ids import VERSION_MAX, AccountId
from domain.permissions import Permission, require
from domain.query import Graph, graph_of
from domain.series import Window
from schema import dashboards, shares, variable_values
from schema.dashboards import Dashboard
from schema.shares import Shared

HERE = "/api/v1/dashboards/{dashboard_id}"
THERE = "/api/v1/shared/{token}"
BODY_MAX_BYTES = 2 * DOCUMENT_MAX_BYTES
POINTS_MAX = 2_000
"""A screen has no more; whoever has a link is not to ask for more than it shows."""
REVISION = "x-metrist-revision"
"""Tells a page with each answer which revision is the newest, so that it notices a change."""
_UNKEPT = {"cache-control": "no-store"}
_SEEN_WITHIN_S = 30 * 86_400
"""A value that nothing has sent for so long is not offered; it can still stand in the address."""

router = APIRouter()
T = TypeVar("T")


Version = Annotated[int, msgspec.Meta(ge=0, le=VERSION_MAX)]


class _Save(msgspec.Struct, forbid_unknown_fields=True):
    version: Version
    document: msgspec.Raw


class _Question(msgspec.Struct, forbid_unknown_fields=True):
    """One panel's lines; `graph` in its stead while it is being edited, `revision` of an old one."""

    panel: str = ""
    graph: msgspec.Raw = msgspec.Raw()
    revision: Version | None = None
    since: str | float = msgspec.field(name="from", default="now-1h")
    until: str | float = msgspec.field(name="to", default="now")
    points: int = planning.POINTS_DEFAULT
    values: dict[str, str | list[str]] = {}


class _Choice(msgspec.Struct, forbid_unknown_fields=True):
    """Whose values: a variable of the dashboard, or while it is edited a label and metrics."""

    variable: str = ""
    label: str = ""
    metrics: list[str] = []


class _SaveShape(_Save, forbid_unknown_fields=True):
    """The same, with the document as it must be."""

    document: Document  # type: ignore[assignment]


class _QuestionShape(_Question, forbid_unknown_fields=True):
    """The same, with the graph as it must be."""

    graph: Graph = Graph()  # type: ignore[assignment]


_REFUSED = (*READING, *WITH_BODY, NotFound)
_BY_LINK = (*WITH_BODY, NotFound, InvalidQuery, StoreUnavailable, Overloaded)


@router.post(
    HERE,
    **described(
        takes=_SaveShape,
        gives=Saved,
        problems=(*_REFUSED, Conflict, Outdated, LimitReached),
        who=({"session": []},),
    ),
)
async def save(request: Request, dashboard_id: UUID) -> Response:
    """Save a revision that was made from the newest one. Raises Forbidden, NotFound, Outdated, InvalidBody."""
    require_same_origin(request)
    viewer = await asyncio.to_thread(viewer_of, request)
    require(viewer.role, Permission.EDIT_DASHBOARDS)
    told = await _told(request, _Save)
    document, control = rules.read(bytes(told.document)), request.app.state.stores.control
    now = datetime.now(UTC)
    work = partial(dashboards.save, control, viewer.account_id, dashboard_id, document, told.version, now)
    saved = await asyncio.to_thread(partial(work, actor=viewer.actor))
    return _json({"version": saved.version, "title": saved.document.title})


@router.post(
    f"{HERE}/query", **described(takes=_QuestionShape, gives=QueryAnswer, problems=_REFUSED, who=KEY_OR_SESSION)
)
async def query(request: Request, dashboard_id: UUID) -> Response:
    """The lines of a panel, as `POST /api/v1/query` has them."""
    principal, asked = await _reader(request), await _told(request, _Question)
    control = request.app.state.stores.control
    last = await asyncio.to_thread(dashboards.find, control, principal, dashboard_id)
    shown = last
    if asked.revision is not None and asked.revision != last.version:
        ask = (control, principal, dashboard_id, asked.revision)
        shown = await asyncio.to_thread(dashboards.find_revision, *ask)
    if asked.graph:
        graph = graph_of(msgspec.json.decode(asked.graph))
        values = {name: rules.as_value(value) for name, value in asked.values.items()}
    else:
        graph, values = _graph(shown.document, asked.panel), rules.choose(shown.document, asked.values)
    return await _answer(request, principal, rules.bind(graph, values), asked, last)


@router.post(f"{HERE}/values", **described(takes=_Choice, gives=VariableValues, problems=_REFUSED, who=KEY_OR_SESSION))
async def values(request: Request, dashboard_id: UUID) -> Response:
    """What a variable can be."""
    principal, asked = await _reader(request), await _told(request, _Choice)
    control = request.app.state.stores.control
    found = await asyncio.to_thread(dashboards.find, control, principal, dashboard_id)
    if asked.label:
        return await _values(request, principal, asked.label, asked.metrics)
    return await _values_of(request, principal, found.document, asked.variable)


@router.post(f"{THERE}/query", **described(takes=_QuestionShape, gives=QueryAnswer, problems=_BY_LINK, who=()))
async def query_shared(request: Request, token: str) -> Response:
    """The lines of a panel that a link shows; of what is asked only time and free variables count."""
    found, asked = await _shared(request, token), await _told(request, _Question)
    document = found.dashboard.document
    chosen = rules.choose(document, {**asked.values, **found.fixed})
    asked.points = min(asked.points, POINTS_MAX)
    graph = rules.bind(_graph(document, asked.panel), chosen)
    async with _readers(request).place(found.id):
        return await _answer(request, found.dashboard.account_id, graph, asked, found.dashboard)


@router.post(f"{THERE}/values", **described(takes=_Choice, gives=VariableValues, problems=_BY_LINK, who=()))
async def values_shared(request: Request, token: str) -> Response:
    """What a variable can be that a link leaves open."""
    found, asked = await _shared(request, token), await _told(request, _Choice)
    if asked.variable in found.fixed:
        stays = found.fixed[asked.variable]
        return _json({"values": [stays] if isinstance(stays, str) else stays, "is_all": True})
    async with _readers(request).place(found.id):
        return await _values_of(request, found.dashboard.account_id, found.dashboard.document, asked.variable)


async def _reader(request: Request) -> AccountId:
    if "authorization" not in request.headers:
        require_same_origin(request)
    return (await authenticate_reader(request)).account_id


async def _shared(request: Request, token: str) -> Shared:
    return await asyncio.to_thread(shares.find, request.app.state.stores.control, token, datetime.now(UTC))


def _readers(request: Request) -> Readers:
    readers: Readers = request.app.state.shared_readers
    return readers


async def _told(request: Request, form: type[T]) -> T:
    return body.decoded(await body.read(request, BODY_MAX_BYTES), form)


def _graph(document: Document, panel_id: str) -> Graph:
    graph = document.graph(panel_id)
    if graph is None:
        raise NotFound("This dashboard has no such graph; it was changed since it was opened")
    return graph


async def _answer(request: Request, account_id: AccountId, graph: Graph, asked: _Question, last: Dashboard) -> Response:
    state, now_s = request.app.state, time.time()
    window = Window(planning.instant(str(asked.since), now_s), planning.instant(str(asked.until), now_s))
    run = partial(state.reads.run, request)
    question = Asked(graph, window, asked.points)
    found = await answers.answer(state.stores, account_id, question, state.settings, run)
    headers = {**_UNKEPT, REVISION: str(last.version)}
    return Response(answers.as_json(found), media_type="application/json", headers=headers)


async def _values_of(request: Request, account_id: AccountId, document: Document, name: str) -> Response:
    variable = next((one for one in document.variables if one.name == name), None)
    if variable is None:
        raise NotFound("This dashboard has no such variable; it was changed since it was opened")
    return await _values(request, account_id, variable.label, rules.metrics_with(document, variable))


async def _values(request: Request, account_id: AccountId, label: str, metrics: list[str]) -> Response:
    state, since_s = request.app.state, int(time.time()) - _SEEN_WITHIN_S
    work = partial(variable_values.read, state.stores.clickhouse, account_id, label, metrics, since_s)
    found = await state.reads.run(request, work)
    return _json({"values": found.values, "is_all": found.is_all})


def _json(told: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(told), media_type="application/json", headers=_UNKEPT)
