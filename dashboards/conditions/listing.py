"""The list of conditions: what is not ok first, with who is on it; then every condition there is."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from dashboards.conditions.common import (
    HERE,
    REFUSALS,
    SAFELY,
    Viewing,
    go,
    group_name,
    place,
    said,
    silence_address,
)
from dashboards.format import number, unit_of
from dashboards.render import page
from dashboards.state_words import WORDS
from domain import condition_notices
from domain.condition_specs import Condition, MetricRule, NodesRule, Spec
from domain.conditions import Severity, State, worst_state
from domain.errors import MetristError, StoreUnavailable
from domain.permissions import Permission, require
from schema import conditions, latest, statuses
from schema.latest import Latest
from schema.sessions import Viewer
from schema.statuses import StatusRow

router = APIRouter()
READY = "A node is offline"
OPEN_MAX = 500
"""Shown; there are rarely so many, and then nobody reads on."""
_ORDER = list(WORDS)
_SEVERITIES = list(reversed(Severity))


@dataclass(frozen=True, slots=True)
class Open:
    """A group that is not ok, as a row."""

    condition: Condition
    row: StatusRow
    word: str
    group: str
    value: str
    said: str
    by: str | None
    silence: str


@dataclass(frozen=True, slots=True)
class Listed:
    """A condition as a row; `open` is how many of its groups are not ok."""

    condition: Condition
    sentence: str
    state: State
    word: str
    open: int


@router.get(HERE)
async def show(request: Request, viewer: Viewing) -> Response:
    """All conditions of the account."""
    return await _show(request, viewer)


@router.get(f"{HERE}/rows")
async def rows(request: Request, viewer: Viewing) -> Response:
    """The part of the page that changes, for a page that is open; 304 when it has not."""
    shown = await _show(request, viewer, template="_conditions.html")
    tag = f'"{hashlib.sha256(bytes(shown.body)).hexdigest()[:32]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    shown.headers["etag"] = tag
    return shown


@router.post(f"{HERE}/ready", dependencies=SAFELY)
def make_ready(request: Request, viewer: Viewing) -> Response:
    """The condition that every account wants first: a node that falls silent."""
    require(viewer.role, Permission.EDIT_CONDITIONS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    spec = Spec(NodesRule(), severity=Severity.CRITICAL)
    made = conditions.create(control, viewer.account_id, READY, spec, now, actor=viewer.actor)
    return go(place(made.id, said="made"))


@router.post(f"{HERE}/{{condition_id}}/acknowledge", dependencies=SAFELY)
async def acknowledge(
    request: Request,
    viewer: Viewing,
    condition_id: UUID,
    group: Annotated[list[str], Form(max_length=1_000)],
    note: Annotated[str, Form(max_length=1_000)] = "",
    back: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Somebody is on it."""
    require(viewer.role, Permission.ACKNOWLEDGE)
    control, now = request.app.state.stores.control, datetime.now(UTC)

    def work() -> None:
        found = conditions.find(control, viewer.account_id, condition_id)
        statuses.acknowledge(control, viewer.account_id, found, group, note, now, actor=viewer.actor)

    try:
        await to_thread.run_sync(work)
    except REFUSALS as refusal:
        return await _show(request, viewer, refusal=refusal)
    return go(place(condition_id, said="acknowledged") if back else f"{HERE}?said=acknowledged")


def opened(
    found: Sequence[StatusRow],
    known: Mapping[UUID, Condition],
    values: Mapping[str, Latest],
    names: Mapping[str, str],
) -> list[Open]:
    """Rows of what is not ok, the most urgent first."""
    shown = [_open(row, known[row.condition_id], values, names) for row in found if row.condition_id in known]
    return sorted(shown, key=lambda one: (*_urgency(one.row), -one.row.status.since.timestamp()))


async def latest_of(request: Request, viewer: Viewer, found: Sequence[StatusRow]) -> Mapping[str, Latest]:
    """The values that were read last; none while Redis is away."""
    fields = [latest.field_of(row.condition_id, row.group) for row in found]
    with suppress(StoreUnavailable):
        return await latest.read(request.app.state.stores.redis, viewer.account_id, fields)
    return {}


async def _show(
    request: Request, viewer: Viewer, *, template: str = "conditions.html", refusal: MetristError | None = None
) -> HTMLResponse:
    control = request.app.state.stores.control

    def read() -> tuple[list[Condition], list[StatusRow], Mapping[str, str]]:
        found = statuses.list_for(control, viewer.account_id, at_most=OPEN_MAX)
        return conditions.list_for(control, viewer.account_id), found, statuses.people(control, found)

    listed, found, names = await to_thread.run_sync(read)
    values = await latest_of(request, viewer, found)
    states: dict[UUID, list[State]] = {}
    for row in found:
        states.setdefault(row.condition_id, []).append(row.status.state)
    shown = opened(found, {one.id: one for one in listed}, values, names)
    return page(
        request,
        template,
        viewer,
        place="conditions/conditions",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal else said(request),
        open=shown,
        open_max=OPEN_MAX,
        conditions=[_listed(one, states.get(one.id, [])) for one in listed],
        ready=READY,
    )


def _open(row: StatusRow, condition: Condition, values: Mapping[str, Latest], names: Mapping[str, str]) -> Open:
    status = row.status
    value, _ = values.get(latest.field_of(row.condition_id, row.group), (status.value, status.since))
    return Open(
        condition,
        row,
        WORDS[status.state],
        group_name(row.group),
        value_text(condition, value),
        status.message,
        names.get(row.acknowledged_by or ""),
        silence_address(condition.name, row.group),
    )


def value_text(condition: Condition, value: float | None) -> str:
    """A value with the unit of its metric."""
    rule = condition.spec.rule
    if value is None or not isinstance(rule, MetricRule):
        return ""
    return number(value, unit_of(rule.query.metric))


def _listed(condition: Condition, states: list[State]) -> Listed:
    state = worst_state(states)
    return Listed(condition, condition_notices.sentence(condition.spec), state, WORDS[state], len(states))


def _urgency(row: StatusRow) -> tuple[Any, ...]:
    """What nobody has acknowledged comes first among its equals."""
    status = row.status
    return _ORDER.index(status.state), row.acknowledged_by is not None, _SEVERITIES.index(status.severity)
