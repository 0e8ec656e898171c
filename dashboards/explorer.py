"""The explorer: one graph of whatever was ever sent, made by hand and kept in its address."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from dashboards.format import Unit
from dashboards.node_page import RANGES
from dashboards.render import page
from dashboards.signin import viewer_of
from domain.errors import InvalidQuery
from domain.query import LINES_MAX, Graph, as_json, from_url
from schema.sessions import Viewer

USUAL_RANGE = "3h"
UNITS = {
    Unit.COUNT: "Number",
    Unit.PERCENT: "Percent",
    Unit.BYTES: "Bytes",
    Unit.BYTES_PER_S: "Bytes a second",
    Unit.BITS_PER_S: "Bits a second",
    Unit.PER_S: "A second",
    Unit.SECONDS: "Seconds",
    Unit.MILLISECONDS: "Milliseconds",
    Unit.CELSIUS: "Celsius",
    Unit.HERTZ: "Hertz",
    Unit.RPM: "Turns a minute",
}
OVER = {"avg": "average", "min": "min", "max": "max", "sum": "sum", "last": "last", "count": "count", "rate": "rate",
        "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"}  # fmt: skip
ACROSS = {"avg": "average", "min": "min", "max": "max", "sum": "sum", "count": "count",
          "p50": "median", "p90": "p90", "p95": "p95", "p99": "p99"}  # fmt: skip
KINDS = {
    "lines": "Lines",
    "area": "Area",
    "stack": "Stack",
    "heatmap": "Heatmap",
    "table": "Table",
    "stat": "Figures",
}
COMPARED = {"1d": "Day before", "1w": "Week before"}
TOPS = (5, 10, 20, 50)

Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/explore")
async def explore(request: Request, viewer: Viewing) -> Response:
    """The page with the graph of its address; what cannot be read there is said, and the page begins empty."""
    graph, problem = Graph(), ""
    try:
        graph = from_url(parse_qsl(request.url.query, keep_blank_values=True))
    except InvalidQuery as error:
        problem = error.detail
    return page(
        request,
        "explorer.html",
        viewer,
        place="explore",
        graph=as_json(graph),
        problem=problem,
        ranges=RANGES,
        range=USUAL_RANGE,
        kinds=KINDS,
        overs=OVER,
        acrosses=ACROSS,
        compared=COMPARED,
        tops=TOPS,
        lines_max=LINES_MAX,
        units=UNITS,
    )
