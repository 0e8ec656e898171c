"""GET /api/v1/series and /api/v1/metrics: the data behind every graph, for programs too."""

import time
from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from api.auth import authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, described
from api.reads import Reads
from api.shapes import MetricsAnswer, SeriesAnswer
from domain import series as planning
from domain.errors import InvalidQuery
from domain.series import Across, Aggregation, Plan, Retention, Selector, Window
from domain.settings import Settings
from schema import grid, series
from schema.stores import Stores

router = APIRouter()
_DAY_S = 86_400
_NAMES_MAX = 200

Names = Annotated[list[str] | None, Query(max_length=_NAMES_MAX)]


@router.get("/api/v1/series", **described(gives=SeriesAnswer, problems=READING, who=KEY_OR_SESSION))
async def get_series(
    request: Request,
    metric: Names = None,
    node: Names = None,
    match: Names = None,
    since: Annotated[str, Query(alias="from")] = "now-1h",
    until: Annotated[str, Query(alias="to")] = "now",
    points: int = planning.POINTS_DEFAULT,
    step: int | None = None,
    agg: Aggregation = "avg",
    across: Across = "none",
    form: Literal["points", "grid"] = "points",
) -> Response:
    """Buckets of every selected series, with the tier that answered and the rows it read.

    `form=points` gives each series the times of its buckets. `form=grid` gives it a value, or null, for each of
    `slots` buckets from `from_s` on, and no `min` and `max` where both are the same as the main value throughout;
    buckets that ended five minutes ago or more may then be a minute old.
    """
    principal = await authenticate_reader(request)
    began = time.perf_counter()
    if not metric:
        raise InvalidQuery("name at least one `metric`; `*` matches any text, as in cpu.*")
    selector = Selector(metric, node or (), _labels(match or ()))
    now_s = time.time()
    window = Window(planning.instant(since, now_s), planning.instant(until, now_s))
    plan = planning.plan(window, points, retention(request.app.state.settings), now_s, step)
    stores: Stores = request.app.state.stores
    reads: Reads = request.app.state.reads
    if form == "grid":
        if plan.from_s < 0:
            raise InvalidQuery("a grid begins in 1970 at the earliest")
        source = grid.Source(stores.clickhouse, stores.answers, principal.account_id)
        found = await reads.run(request, partial(grid.read, source, selector, plan, now_s, agg, across))
        lines = [_grid_line(one, agg) for one in found.lines]
        return _json({**_told(plan), "slots": grid.slots(plan), **_cost(found, began), "agg": agg, "series": lines})
    ask = partial(series.read, stores.clickhouse, principal.account_id, selector, plan, agg, across)
    read = await reads.run(request, ask)
    return _json({**_told(plan), **_cost(read, began), "agg": agg, "series": [_line(one, agg) for one in read.series]})


@router.get("/api/v1/metrics", **described(gives=MetricsAnswer, problems=READING, who=KEY_OR_SESSION))
async def get_metrics(request: Request, node: Names = None, metric: Names = None) -> Response:
    """The series that there are, with their latest values: what a node's page is built from."""
    principal = await authenticate_reader(request)
    settings: Settings = request.app.state.settings
    seen_since_s = time.time() - settings.hour_retention_days * _DAY_S
    account_id, selector = principal.account_id, Selector(metric or (), node or ())
    ask = partial(series.list_series, request.app.state.stores.clickhouse, account_id, selector, seen_since_s)
    reads: Reads = request.app.state.reads
    found = await reads.run(request, ask)
    return _json({"series": found})


def retention(settings: Settings) -> Retention:
    """How long each tier is kept, from the settings."""
    return Retention(
        settings.raw_retention_days * _DAY_S,
        settings.minute_retention_days * _DAY_S,
        settings.hour_retention_days * _DAY_S,
    )


def _labels(matches: list[str] | tuple[()]) -> dict[str, str]:
    pairs = [text.partition("=") for text in matches]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise InvalidQuery("`match` must be key=value, as in match=device=sda1")
    return {key: value for key, _, value in pairs}


def _told(plan: Plan) -> dict[str, Any]:
    return {"resolution": plan.resolution.name, "step_s": plan.step_s, "from_s": plan.from_s, "to_s": plan.to_s}


def _cost(read: series.Read | grid.Read, began: float) -> dict[str, Any]:
    return {
        "rows_read": read.rows_read,
        "engine_ms": round(read.engine_s * 1000, 1),
        "took_ms": round((time.perf_counter() - began) * 1000, 1),
    }


def _line(one: series.Series, agg: Aggregation) -> dict[str, Any]:
    line = {"metric": one.metric, "node": one.node, "labels": one.labels, "ts": one.ts, agg: one.main}
    return {**line, "min": one.minimum, "max": one.maximum}


def _grid_line(one: grid.Line, agg: Aggregation) -> dict[str, Any]:
    line = {
        "metric": one.metric,
        "node": one.node,
        "labels": series.labels_of(one.labelset),
        agg: msgspec.Raw(one.main),
    }
    if one.low is None or one.high is None:
        return line
    return {**line, "min": msgspec.Raw(one.low), "max": msgspec.Raw(one.high)}


def _json(reply: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(reply), media_type="application/json", headers={"Cache-Control": "no-store"})
