"""Trying a monitor before it is pushed: on what is recorded of a node, or once on the node itself."""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import uuid4

from anyio import to_thread
from fastapi import APIRouter, Header, Request
from fastapi.responses import Response

from dashboards.monitors import lua
from dashboards.monitors.common import HERE, REFUSALS, SAFELY, Viewing
from dashboards.monitors.editor import Form_, edit
from dashboards.monitors.fleet import matching
from dashboards.monitors.form import Filled
from dashboards.render import page
from domain import bundles, commands
from domain.commands import CommandId, CommandState, Kind
from domain.errors import InvalidBody, MetristError, NotFound, StoreUnavailable
from domain.monitor_runs import Report
from domain.monitors import NAME_MAX_CHARS, RESERVED_LABEL, Spec, is_able
from domain.nodes import NodeState
from domain.permissions import Permission, require
from domain.series import Selector
from domain.series_key import compose
from schema import commands as orders
from schema import monitor_runs, monitors, nodes, series, series_budget, server_secrets
from schema.nodes import NodeRow
from schema.sessions import Viewer

RECENT_S = 3_600
"""What a node has not sent for so long is no value of now."""
TRIAL_LASTS_MS = 120_000
ENDED = {CommandState.FAILED, CommandState.EXPIRED, CommandState.CANCELLED, CommandState.SUPERSEDED}
IsPart = Annotated[str, Header(alias="x-part")]
"""A script asks for the findings alone, without the page around them."""

router = APIRouter()


@router.post(f"{HERE}/dry-run", dependencies=SAFELY)
async def dry_run(request: Request, viewer: Viewing, form: Form_, x_part: IsPart = "") -> Response:
    """Run it once in the server's sandbox, on the last values that are recorded of a node."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    return await to_thread.run_sync(_tried, request, viewer, form, bool(x_part), _dry_run)


@router.post(f"{HERE}/trial", dependencies=SAFELY)
async def trial(request: Request, viewer: Viewing, form: Form_, x_part: IsPart = "") -> Response:
    """Have one live node run it once, and send nothing of it but to this page."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    try:
        tried = await _begin_trial(request, viewer, form)
    except REFUSALS as refusal:
        tried = {"kind": "trial", "node": form.node, "refusal": refusal.detail}
    return await to_thread.run_sync(lambda: _shown(request, viewer, form, bool(x_part), tried))


@router.get(f"{HERE}/trial")
async def trial_result(
    request: Request, viewer: Viewing, node: str, command: str, name: str, count: int = 1
) -> Response:
    """What became of a trial run, as far as it is known. Raises NotFound for one that was never asked for."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    redis, now_ms = request.app.state.stores.redis, int(time.time() * 1000)
    report = await monitor_runs.trial(redis, viewer.account_id, node, command)
    if report is not None:
        told = await to_thread.run_sync(lambda: _of_report(request, viewer, node, name, count, report))
        return page(request, "_monitor_tried.html", viewer, tried=told)
    known = await orders.read(redis, viewer.account_id, node, now_ms)
    order = next((one for one in known if one.id == command and one.kind == Kind.TRIAL), None)
    if order is None:
        raise NotFound("This trial is not known any more; begin another one")
    state = order.state_at(now_ms)
    if state in ENDED:
        why = order.message or f"{node} has not asked for it within {TRIAL_LASTS_MS // 1000} s"
        return page(request, "_monitor_tried.html", viewer, tried={"kind": "trial", "node": node, "refusal": why})
    poll = _poll(node, command, name, count)
    tried = {"kind": "trial", "node": node, "refusal": "", "poll": poll, "is_begun": state != CommandState.QUEUED}
    return page(request, "_monitor_tried.html", viewer, tried=tried)


def _tried(request: Request, viewer: Viewer, form: Filled, is_part: bool, work: Any) -> Response:
    try:
        tried = work(request, viewer, form)
    except (*REFUSALS, StoreUnavailable) as refusal:
        tried = {"kind": "dry", "node": form.node, "refusal": refusal.detail}
    return _shown(request, viewer, form, is_part, tried)


def _shown(request: Request, viewer: Viewer, form: Filled, is_part: bool, tried: Mapping[str, Any]) -> Response:
    if is_part:
        return page(request, "_monitor_tried.html", viewer, tried=tried)
    monitor = None
    if form.head:
        monitor = monitors.find(request.app.state.stores.control, viewer.account_id, form.name)
    return edit(request, viewer, form, monitor=monitor, tried=tried)


def _dry_run(request: Request, viewer: Viewer, form: Filled) -> dict[str, Any]:
    spec, stores = form.spec(), request.app.state.stores
    node = _node(request, viewer, form.node)
    listed = series.list_series(stores.clickhouse, viewer.account_id, Selector([], [node.name]), time.time() - RECENT_S)
    values = {compose(one.metric, one.labels): one.last for one in listed if one.last is not None}
    facts = {"node": node.name, "labels": dict(node.labels), "time": time.time(), "metrics": values}
    result = lua.dry_run(spec, facts)
    found = [(one.name, one.kind, one.value, {**spec.labels, **one.labels}) for one in result.samples]
    about = {"state": result.state, "message": result.message, "line": result.line, "log": result.log}
    cost = {"took_ms": result.took_ms, "cpu_ms": result.cpu_ms, "memory_bytes": result.memory_bytes}
    count = len(matching(form.target(), nodes.list_for(stores.control, viewer.account_id)))
    budget = _budget(request, viewer, form.name, found, set(values), count)
    told = {"kind": "dry", "node": node.name, "refusal": "", "poll": ""}
    return {**told, **about, **cost, "samples": _samples(found), "statuses": result.statuses, "budget": budget}


async def _begin_trial(request: Request, viewer: Viewer, form: Filled) -> dict[str, Any]:
    stores, now_s = request.app.state.stores, time.time()
    bundle, node, count = await to_thread.run_sync(_bundle, request, viewer, form, int(now_s))
    payload = {"bundle": json.loads(bundle)}
    order = commands.order(
        node.name, Kind.TRIAL, int(now_s * 1000), TRIAL_LASTS_MS, payload=payload, issuer=viewer.actor
    )
    await orders.issue(stores.redis, viewer.account_id, order)
    poll = _poll(node.name, order.id, form.name, count)
    return {"kind": "trial", "node": node.name, "refusal": "", "poll": poll, "is_begun": False}


def _bundle(request: Request, viewer: Viewer, form: Filled, now_s: int) -> tuple[bytes, NodeRow, int]:
    control = request.app.state.stores.control
    spec, node = form.spec(), _node(request, viewer, form.node)
    lua.require_sound(spec.script)
    _require_able(spec, node)
    private = server_secrets.get_or_create(control, server_secrets.MONITORS, datetime.now(UTC))
    entry = bundles.entry(str(uuid4()), form.name[:NAME_MAX_CHARS] or "trial", 0, spec)
    count = len(matching(form.target(), nodes.list_for(control, viewer.account_id)))
    return bundles.signed(private, viewer.account_id, node.name, [entry], now_s), node, count


def _require_able(spec: Spec, node: NodeRow) -> None:
    if node.state != NodeState.ONLINE:
        raise InvalidBody(f"{node.name} is {node.state.value}; a trial needs a node that checks in")
    if not is_able(spec, node.agent):
        allow = ",".join(spec.capabilities) or "yes"
        raise InvalidBody(f"{node.name} does not allow it: its agent has to be started with --allow-monitors {allow}")


def _node(request: Request, viewer: Viewer, name: str) -> NodeRow:
    if not name:
        raise InvalidBody("Choose the node to try it on")
    node = nodes.find(request.app.state.stores.control, viewer.account_id, name)
    if node is None:
        raise InvalidBody(f"There is no node {name[:128]} in this account")
    return node


def _of_report(request: Request, viewer: Viewer, node: str, name: str, count: int, report: Report) -> dict[str, Any]:
    found = [(one.name, one.kind, one.value, one.labels) for one in report.values]
    stores = request.app.state.stores
    try:
        since_s = time.time() - RECENT_S
        listed = series.list_series(stores.clickhouse, viewer.account_id, Selector([], [node]), since_s)
        known = {compose(one.metric, one.labels) for one in listed}
        budget = _budget(request, viewer, name, found, known, count)
    except MetristError:
        budget = None
    about = {"state": report.state, "message": report.message, "line": report.line, "log": report.log}
    cost = {"took_ms": report.took_ms, "cpu_ms": report.cpu_ms, "memory_bytes": report.memory_bytes}
    told = {"kind": "trial", "node": node, "refusal": "", "poll": ""}
    return {**told, **about, **cost, "samples": _samples(found), "statuses": report.statuses, "budget": budget}


Found = tuple[str, str, float, Mapping[str, str]]


def _samples(found: Iterable[Found]) -> list[dict[str, Any]]:
    return [
        {"name": name, "kind": kind, "value": value, "labels": sorted(labels.items())}
        for name, kind, value, labels in found
    ]


def _budget(
    request: Request, viewer: Viewer, name: str, found: Iterable[Found], known: set[str], count: int
) -> dict[str, Any]:
    """How many series it would make that are not there yet, on all nodes of the target."""
    keys = {compose(metric, {**labels, RESERVED_LABEL: name}) for metric, _, _, labels in found}
    new = len(keys - known) * count
    stores, most = request.app.state.stores, request.app.state.settings.series_budget
    have = series_budget.count(stores.clickhouse, viewer.account_id, datetime.now(UTC))
    about = {"each": len(keys), "new_each": len(keys - known), "nodes": count, "new": new}
    return {**about, "have": have, "most": most, "is_over": have + new > most}


def _poll(node: str, command: CommandId | str, name: str, count: int) -> str:
    asked = {"node": node, "command": command, "name": name[:NAME_MAX_CHARS] or "trial", "count": count}
    return f"{HERE}/trial?{urlencode(asked)}"
