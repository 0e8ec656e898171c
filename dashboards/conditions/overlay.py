"""When conditions fired, as JSON: what graphs lie over."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import Engine

from dashboards.conditions.common import HERE, Viewing, group_name, place
from domain.condition_specs import Condition, MetricRule
from domain.conditions import State
from domain.evaluation import Group
from domain.events import Event
from domain.ids import AccountId
from domain.series import instant
from schema import conditions, status_log, statuses
from schema.statuses import StatusRow

router = APIRouter()
CONDITIONS_MAX = 50
EVENTS_MAX = 500
"""Of one condition in a window; of more the newest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a graph shows; empty is anything. The node "" is that of groups of no node."""

    metrics: frozenset[str]
    nodes: frozenset[str]


@router.get(f"{HERE}/overlay.json")
async def overlay(
    request: Request,
    viewer: Viewing,
    since: Annotated[str, Query(alias="from")] = "now-1d",
    until: Annotated[str, Query(alias="to")] = "now",
    metric: Annotated[list[str] | None, Query()] = None,
    node: str = "",
) -> Response:
    """The periods in which conditions on these metrics, or about this node, were not ok."""
    now_s = datetime.now(UTC).timestamp()
    from_s, to_s = instant(since, now_s), min(instant(until, now_s), now_s)
    window = (datetime.fromtimestamp(max(0.0, from_s), UTC), datetime.fromtimestamp(max(0.0, to_s), UTC))
    wanted = Wanted(frozenset(metric or ()), frozenset([node] if node else []))
    control = request.app.state.stores.control
    found = await to_thread.run_sync(_read, control, viewer.account_id, wanted, *window)
    return JSONResponse({"from_s": from_s, "to_s": to_s, "periods": found}, headers={"Cache-Control": "no-store"})


def read(
    engine: Engine,
    account_id: AccountId,
    metrics: Collection[str],
    nodes: Collection[str],
    since: datetime,
    until: datetime,
) -> list[dict[str, Any]]:
    """The same periods for graphs of several nodes; those of groups that are of no node are among them."""
    if not metrics and not nodes:
        return []
    wanted = Wanted(frozenset(metrics), frozenset(["", *nodes] if nodes else []))
    return _read(engine, account_id, wanted, since, until)


def _read(
    engine: Engine, account_id: AccountId, wanted: Wanted, since: datetime, until: datetime
) -> list[dict[str, Any]]:
    fitting = [one for one in conditions.list_for(engine, account_id) if _fits(one, wanted)][:CONDITIONS_MAX]
    found: list[dict[str, Any]] = []
    for condition in fitting:
        moves = status_log.between(engine, account_id, condition.id, since, until, EVENTS_MAX)
        found += _periods(condition, moves, wanted, since, until)
        moved = {event.stream for event in moves}
        lasting = [row for row in statuses.of_condition(engine, account_id, condition.id) if row.stream not in moved]
        found += _lasting(condition, lasting, wanted, since, until)
    return found


def _fits(condition: Condition, wanted: Wanted) -> bool:
    rule = condition.spec.rule
    if not isinstance(rule, MetricRule):
        return bool(wanted.nodes)
    return not wanted.metrics or rule.query.metric in wanted.metrics


def _concerns(labels: Mapping[str, str], wanted: Wanted) -> bool:
    return not wanted.nodes or labels.get("node", "") in wanted.nodes


def _periods(
    condition: Condition, found: Iterable[Event], wanted: Wanted, since: datetime, until: datetime
) -> Iterator[dict[str, Any]]:
    by_stream: dict[str, list[Event]] = {}
    for event in found:
        if _concerns(event.payload["labels"], wanted):
            by_stream.setdefault(event.stream, []).append(event)
    for events in by_stream.values():
        state, began = State(events[0].payload.get("from", State.OK)), since
        group = Group("", events[0].payload["labels"])
        for event in events:
            at = min(max(datetime.fromisoformat(event.payload["at"]), since), until)
            yield from _period(condition, group, state, began, at)
            state, began = State(event.payload.get("to", State.OK)), at
        yield from _period(condition, group, state, began, until)


def _lasting(
    condition: Condition, rows: Iterable[StatusRow], wanted: Wanted, since: datetime, until: datetime
) -> Iterator[dict[str, Any]]:
    """What has been so since before the window."""
    for row in rows:
        if _concerns(row.group.labels, wanted):
            yield from _period(condition, row.group, row.status.state, max(row.status.since, since), until)


def _period(
    condition: Condition, group: Group, state: State, began: datetime, ended: datetime
) -> Iterator[dict[str, Any]]:
    if state != State.OK and ended > began:
        yield {
            "condition": condition.name,
            "href": place(condition.id),
            "group": group_name(group),
            "node": group.labels.get("node", ""),
            "metrics": [rule.query.metric] if isinstance(rule := condition.spec.rule, MetricRule) else [],
            "severity": condition.spec.severity.value,
            "state": state.value,
            "from_s": began.timestamp(),
            "to_s": ended.timestamp(),
        }
