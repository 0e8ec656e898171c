"""POST /api/v1/query: a graph's lines, as JSON or CSV; POST /api/v1/query/sql: the same question as SQL."""

import time
from functools import partial

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body
from api.auth import Principal, authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, WITH_BODY, described
from api.shapes import QueryAnswer, SqlAnswer
from dashboards import answers, spreadsheet
from dashboards.answers import Asked
from dashboards.headers import require_same_origin
from domain import series as planning
from domain.errors import InvalidBody
from domain.query import LINES_MAX, Graph, graph_of
from domain.series import Window

router = APIRouter()
BODY_MAX_BYTES = 100_000
_UNKEPT = {"Cache-Control": "no-store"}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    """`from` and `to` are Unix seconds, `now` or like `now-6h`; `points` or `step` say how fine."""

    graph: msgspec.Raw
    since: str | float = msgspec.field(name="from", default="now-1h")
    until: str | float = msgspec.field(name="to", default="now")
    points: int = planning.POINTS_DEFAULT
    step: int | None = None
    lines: int | None = None


class _Shape(_Body, forbid_unknown_fields=True):
    """The same, with the graph as it must be; `graph_of` words better what is wrong with one."""

    graph: Graph  # type: ignore[assignment]


_REFUSED = (*READING, *WITH_BODY)


@router.post(
    "/api/v1/query",
    **described(takes=_Shape, gives=QueryAnswer, csv=True, problems=_REFUSED, who=KEY_OR_SESSION),
)
async def post_query(request: Request) -> Response:
    """The lines of a graph over a window; `Accept: text/csv` gives a table with a column for each line."""
    principal = await _reader(request)
    asked = await _asked(request)
    state = request.app.state
    run = partial(state.reads.run, request)
    found = await answers.answer(state.stores, principal.account_id, asked, state.settings, run)
    if "text/csv" in request.headers.get("accept", ""):
        return Response(spreadsheet.table(found), media_type="text/csv", headers=_UNKEPT)
    return Response(answers.as_json(found), media_type="application/json", headers=_UNKEPT)


@router.post(
    "/api/v1/query/sql",
    **described(takes=_Shape, gives=SqlAnswer, problems=_REFUSED, who=KEY_OR_SESSION),
)
async def post_query_as_sql(request: Request) -> Response:
    """What ClickHouse is asked for each query of a graph, to be run there as it stands."""
    principal = await _reader(request)
    asked = await _asked(request)
    told = answers.as_sql(principal.account_id, asked, request.app.state.settings)
    return Response(msgspec.json.encode({"sql": told}), media_type="application/json", headers=_UNKEPT)


async def _reader(request: Request) -> Principal:
    if "authorization" not in request.headers:
        require_same_origin(request)
    return await authenticate_reader(request)


async def _asked(request: Request) -> Asked:
    told = body.decoded(await body.read(request, BODY_MAX_BYTES), _Body)
    graph = graph_of(msgspec.json.decode(told.graph))
    if told.lines is not None and not 1 <= told.lines <= LINES_MAX:
        raise InvalidBody(f"`lines` must be from 1 to {LINES_MAX}")
    now_s = time.time()
    window = Window(planning.instant(str(told.since), now_s), planning.instant(str(told.until), now_s))
    return Asked(graph, window, told.points, told.step, told.lines)
