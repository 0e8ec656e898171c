"""What a form would give before it is saved: its groups now, and what it would have told of in the last month."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from dashboards.conditions import form
from dashboards.conditions.common import HERE, SAFELY, Viewing, group_name
from dashboards.format import duration, number, unit_of
from domain import backtest, condition_notices
from domain.backtest import Outcome
from domain.condition_specs import MetricRule, Spec
from domain.errors import InvalidBody
from domain.evaluation import measure
from domain.permissions import Permission, require
from domain.query import Graph, Threshold
from domain.query import as_json as graph_json
from schema import backtests, readings
from schema.backtests import Stored
from schema.readings import Ask
from schema.sessions import Viewer

router = APIRouter()
INCIDENTS_SHOWN = 100
GROUPS_SHOWN = 50
_UNKEPT = {"Cache-Control": "no-store"}


@router.post(f"{HERE}/preview", dependencies=SAFELY)
async def preview(request: Request, viewer: Viewing) -> Response:
    """The condition as a sentence, its graph with the limit drawn, and each group's value now."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    fields = form.fields_of(await request.form())
    has_limit = fields["kind"] != "metric" or bool(fields["threshold"].strip())
    spec = form.spec_from(fields if has_limit else {**fields, "threshold": "0", "clear": ""})
    found = await to_thread.run_sync(partial(_preview, request, viewer, spec, datetime.now(UTC)))
    if not has_limit:
        found |= {"sentence": None, "graph": {**found["graph"], "thresholds": []}, "over": None}
    return JSONResponse(found, headers=_UNKEPT)


@router.post(f"{HERE}/backtest", dependencies=SAFELY)
async def try_back(request: Request, viewer: Viewing) -> Response:
    """How many notices it would have sent, when, and how many at other limits."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    spec = form.spec_from(form.fields_of(await request.form()))
    if not isinstance(spec.rule, MetricRule):
        raise InvalidBody("Only conditions on a metric can be tried over what is stored")
    found = await to_thread.run_sync(partial(_backtest, request, viewer, spec, spec.rule, datetime.now(UTC)))
    return JSONResponse(found, headers=_UNKEPT)


def graph_of(spec: Spec) -> dict[str, Any] | None:
    """What to draw of a condition: its query with its limits; None for one that has no values."""
    if not isinstance(spec.rule, MetricRule):
        return None
    limits = [Threshold(spec.rule.threshold, "fires")]
    limits += [Threshold(spec.rule.clear, "ok again")] if spec.rule.clear is not None else []
    return graph_json(Graph(queries=(spec.rule.query,), thresholds=tuple(limits)))


def _preview(request: Request, viewer: Viewer, spec: Spec, now: datetime) -> dict[str, Any]:
    told: dict[str, Any] = {"sentence": condition_notices.sentence(spec), "graph": graph_of(spec), "groups": []}
    rule = spec.rule
    if not isinstance(rule, MetricRule):
        return told
    to_s = int(now.timestamp()) // rule.every_s * rule.every_s
    ask = Ask([rule.query.metric], to_s - rule.window_s, to_s)
    read = readings.read_rates if rule.query.over == "rate" else readings.read
    values = read(request.app.state.stores.clickhouse, viewer.account_id, ask)
    found = measure(rule.query, values.of(rule.query.metric, rule.query.over, None))
    unit = unit_of(rule.query.metric)
    rows = [(rule.reading(value, spec.severity), value, group_name(group)) for group, value in found.items()]
    rows.sort(key=lambda row: (not row[0].is_over, row[2]))
    told["count"], told["over"] = len(rows), sum(row[0].is_over for row in rows)
    told["groups"] = [
        {"group": name, "value": number(value, unit), "is_over": reading.is_over}
        for reading, value, name in rows[:GROUPS_SHOWN]
    ]
    return told


def _backtest(request: Request, viewer: Viewer, spec: Spec, rule: MetricRule, now: datetime) -> dict[str, Any]:
    stored = backtests.read(request.app.state.stores.clickhouse, viewer.account_id, rule, now)
    asked = backtest.play(spec, stored.lines, stored.from_s, stored.step_s)
    others = [
        backtest.play(other, stored.lines, stored.from_s, stored.step_s)
        for other in backtest.others(spec, stored.lines)
    ]
    unit = unit_of(rule.query.metric)
    until = datetime.fromtimestamp(stored.to_s, UTC)
    return {
        "days": backtests.DAYS,
        "heard_days": round(_heard_s(stored) / 86_400, 1),
        "step": duration(stored.step_s),
        "groups": len(stored.lines),
        "count": stored.count,
        "notices": asked.notices,
        "incidents": [
            {
                "group": group_name(one.group),
                "began_s": one.began_at.timestamp(),
                "ended_s": one.ended_at.timestamp() if one.ended_at else None,
                "lasted": duration(((one.ended_at or until) - one.began_at).total_seconds()),
                "worst": number(one.worst, unit),
            }
            for one in asked.incidents[-INCIDENTS_SHOWN:][::-1]
        ],
        "thresholds": [
            _row(one, asked, unit, until) for one in sorted([asked, *others], key=lambda one: one.threshold)
        ],
    }


def _row(one: Outcome, asked: Outcome, unit: Any, until: datetime) -> dict[str, Any]:
    fired = one.fired(until).total_seconds()
    return {
        "threshold": one.threshold,
        "shown": number(one.threshold, unit),
        "notices": one.notices,
        "fired": duration(fired) if one.notices else "never",
        "is_asked": one is asked,
    }


def _heard_s(stored: Stored) -> int:
    """From the first value there is to the end."""
    first: Sequence[int] = [place for line in stored.lines for place in [_first(line.values)] if place is not None]
    return stored.to_s - (stored.from_s + min(first) * stored.step_s) if first else 0


def _first(values: Sequence[float | None]) -> int | None:
    return next((place for place, value in enumerate(values) if value is not None), None)
