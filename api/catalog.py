"""What there is to ask for: GET /api/v1/metrics/search, /api/v1/labels and /api/v1/labels/{label}/values."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, described
from api.shapes import FoundLabels, FoundMetrics, FoundValues
from dashboards.format import unit_of
from domain.errors import NotFound
from schema import catalog

router = APIRouter()
LISTED, LISTED_MAX = 50, 1_000

Text = Annotated[str, Query(max_length=300)]
Limit = Annotated[int, Query(ge=1, le=LISTED_MAX)]


@router.get("/api/v1/metrics/search", **described(gives=FoundMetrics, problems=READING, who=KEY_OR_SESSION))
async def search_metrics(request: Request, q: Text = "", limit: Limit = LISTED) -> Response:
    """Metrics whose names hold every word of `q`; `more` says that there are others."""
    principal = await authenticate_reader(request)
    find = partial(catalog.search_metrics, request.app.state.stores.clickhouse, principal.account_id, q, limit + 1)
    found = await request.app.state.reads.run(request, find)
    return _json("metrics", [{**asdict(one), "unit": unit_of(one.name)} for one in found], limit)


@router.get("/api/v1/labels", **described(gives=FoundLabels, problems=READING, who=KEY_OR_SESSION))
async def list_labels(request: Request, metric: Text = "", limit: Limit = LISTED) -> Response:
    """The labels that a metric's series have; `node`, which all have, is not among them."""
    principal = await authenticate_reader(request)
    find = partial(catalog.label_names, request.app.state.stores.clickhouse, principal.account_id, metric, limit + 1)
    found = await request.app.state.reads.run(request, find)
    return _json("labels", [{"name": one.name, "values": one.count} for one in found], limit)


@router.get(
    "/api/v1/labels/{label}/values", **described(gives=FoundValues, problems=(*READING, NotFound), who=KEY_OR_SESSION)
)
async def list_values(request: Request, label: str, metric: Text = "", q: Text = "", limit: Limit = LISTED) -> Response:
    """The values of a label, `node` too, that hold `q`."""
    principal = await authenticate_reader(request)
    ask = (request.app.state.stores.clickhouse, principal.account_id, metric, label, q, limit + 1)
    found = await request.app.state.reads.run(request, partial(catalog.label_values, *ask))
    return _json("values", [{"value": one.name, "series": one.count} for one in found], limit)


def _json(name: str, found: list[dict[str, Any]], limit: int) -> Response:
    body = msgspec.json.encode({name: found[:limit], "more": len(found) > limit})
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})
