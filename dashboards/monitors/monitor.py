"""A monitor's page: how far its newest version has come, its nodes, its versions; and what one does with it."""

import difflib
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from anyio import to_thread
from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from dashboards.monitors.common import HERE, REFUSALS, SAFELY, Viewing, go, place, said, tell
from dashboards.monitors.fleet import Fleet, fleet, matching
from dashboards.monitors.form import parameters_text
from dashboards.monitors.runs import HISTORY_ROWS, history, last_runs
from dashboards.render import page
from domain.errors import MetristError, StoreUnavailable
from domain.monitor_parameters import shown
from domain.monitor_runs import KEEP_EVERY_S
from domain.monitors import Spec
from domain.permissions import Permission, require
from domain.rollouts import Stage
from schema import heartbeats, monitors, nodes
from schema.monitors import Monitor, Version
from schema.sessions import Viewer

THIS = f"{HERE}/{{name}}"
CONTEXT_LINES = 3

router = APIRouter()


@router.get(THIS)
async def show(request: Request, viewer: Viewing, name: str, part: str = "") -> Response:
    """A monitor; `part` state is only what changes by itself. Raises NotFound."""
    monitor = await to_thread.run_sync(monitors.find, request.app.state.stores.control, viewer.account_id, name)
    return await _show(request, viewer, monitor, part=part)


@router.get(f"{THIS}/history")
async def show_history(
    request: Request, viewer: Viewing, name: str, node: str = "", before_ms: int | None = None
) -> Response:
    """How its runs went, on all nodes or on one, the newest first. Raises NotFound."""
    monitor = await to_thread.run_sync(monitors.find, request.app.state.stores.control, viewer.account_id, name)
    found = await history(request, viewer.account_id, monitor.id, node, _instant(before_ms))
    rows = (found or ())[:HISTORY_ROWS]
    has_older = found is not None and len(found) > HISTORY_ROWS
    about = {"node": node} if node else {}
    return page(
        request,
        "monitor_history.html",
        viewer,
        place="monitors/history",
        said="",
        refusal="",
        monitor=monitor,
        node=node,
        rows=rows,
        is_away=found is None,
        is_newest=before_ms is None,
        older=place(name, "history", **about, before_ms=str(rows[-1][1].heard_ms)) if has_older else "",
        every_s=KEEP_EVERY_S,
    )


@router.get(f"{THIS}/versions/{{number}}")
def show_version(request: Request, viewer: Viewing, name: str, number: int) -> Response:
    """One version, and how it differs from the one before. Raises NotFound."""
    control = request.app.state.stores.control
    monitor = monitors.find(control, viewer.account_id, name)
    spec = monitors.find_version(control, viewer.account_id, name, number)
    before = monitors.find_version(control, viewer.account_id, name, number - 1) if number > 1 else None
    listed = monitors.versions(control, viewer.account_id, name)
    about = next((one for one in listed if one.number == number), None)
    return page(
        request,
        "monitor_version.html",
        viewer,
        place="monitors/version",
        said="",
        refusal="",
        monitor=monitor,
        number=number,
        about=about,
        lines=_diff(before, spec),
    )


@router.post(f"{THIS}/push", dependencies=SAFELY)
async def push(request: Request, viewer: Viewing, name: str, version: Annotated[int, Form()]) -> Response:
    """Send a version on its way, a new one or an old one again. Raises NotFound."""
    require(viewer.role, Permission.MANAGE_MONITORS)

    def work(control: Any, now: datetime) -> Monitor:
        return monitors.push(control, viewer.account_id, name, now, actor=viewer.actor, number=version)

    control = request.app.state.stores.control
    before = await to_thread.run_sync(monitors.find, control, viewer.account_id, name)
    await tell(request, before, anew=True)
    return await _change(request, viewer, name, work, "pushed")


@router.post(f"{THIS}/pause", dependencies=SAFELY)
async def pause(request: Request, viewer: Viewing, name: str) -> Response:
    """Have no node run it. Raises NotFound."""
    return await _switch(request, viewer, name, is_paused=True)


@router.post(f"{THIS}/resume", dependencies=SAFELY)
async def resume(request: Request, viewer: Viewing, name: str) -> Response:
    """Have its nodes run it again. Raises NotFound."""
    return await _switch(request, viewer, name, is_paused=False)


@router.post(f"{THIS}/remove", dependencies=SAFELY)
async def remove(request: Request, viewer: Viewing, name: str) -> Response:
    """End a monitor; its samples stay. Raises NotFound."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    removed = await to_thread.run_sync(
        lambda: monitors.remove(control, viewer.account_id, name, now, actor=viewer.actor)
    )
    await tell(request, removed, anew=True)
    return go(f"{HERE}?said=removed")


async def _switch(request: Request, viewer: Viewer, name: str, *, is_paused: bool) -> Response:
    require(viewer.role, Permission.MANAGE_MONITORS)

    def work(control: Any, now: datetime) -> Monitor:
        return monitors.switch(control, viewer.account_id, name, now, is_paused=is_paused, actor=viewer.actor)

    return await _change(request, viewer, name, work, "paused" if is_paused else "resumed")


async def _change(
    request: Request, viewer: Viewer, name: str, work: Callable[[Any, datetime], Monitor], word: str
) -> Response:
    control = request.app.state.stores.control
    try:
        changed = await to_thread.run_sync(work, control, datetime.now(UTC))
    except REFUSALS as refusal:
        monitor = await to_thread.run_sync(monitors.find, control, viewer.account_id, name)
        return await _show(request, viewer, monitor, refusal=refusal)
    await tell(request, changed)
    return go(place(name, said=word))


async def _show(
    request: Request, viewer: Viewer, monitor: Monitor, *, part: str = "", refusal: MetristError | None = None
) -> Response:
    found = await _fleet(request, viewer, monitor)
    common: dict[str, Any] = {"monitor": monitor, "fleet": found, "Stage": Stage}
    if part == "state":
        return page(request, "_monitor_state.html", viewer, **common)
    control = request.app.state.stores.control
    versions: Sequence[Version] = await to_thread.run_sync(monitors.versions, control, viewer.account_id, monitor.name)
    return page(
        request,
        "monitor.html",
        viewer,
        place="monitors/monitor",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="" if refusal else said(request),
        versions=versions,
        **common,
    )


async def _fleet(request: Request, viewer: Viewer, monitor: Monitor) -> Fleet:
    stores, now = request.app.state.stores, datetime.now(UTC)
    known = await to_thread.run_sync(nodes.list_for, stores.control, viewer.account_id)
    found = matching(monitor.target, known)
    names = [node.name for node in found]
    last = (await last_runs(request, viewer.account_id, {monitor.id: names if monitor.pushed else ()}))[monitor.id]
    try:
        contacts = await heartbeats.read_contacts(stores.redis, viewer.account_id, names)
    except StoreUnavailable:
        contacts = {}
    return fleet(monitor, found, last.runs, contacts, now, last.recalled)


def _instant(before_ms: int | None) -> datetime:
    """Unix ms of an address; now for none, and for what is none."""
    now = datetime.now(UTC)
    with suppress(ValueError, OverflowError, OSError):
        return now if before_ms is None else datetime.fromtimestamp(before_ms / 1000, UTC)
    return now


def _diff(before: Spec | None, after: Spec) -> list[tuple[str, str]]:
    """Lines with what became of each: `+`, `-`, ` ` for those around, `@` for a gap."""
    if before is None:
        return [("+", line) for line in _text(after).splitlines()]
    lines = difflib.unified_diff(_text(before).splitlines(), _text(after).splitlines(), n=CONTEXT_LINES, lineterm="")
    told = [("@", "") if line.startswith("@@") else (line[0], line[1:]) for line in list(lines)[2:]]
    return told[1:]  # nothing is before the first gap


def _text(spec: Spec) -> str:
    """A version as one text: what is set beside the script stands before it."""
    limits = spec.limits
    settings = [
        f"every {spec.interval_s} s, at most {spec.timeout_s} s",
        f"{limits.memory_mb} MB, {limits.cpu_ms} ms of CPU, {limits.samples} samples",
        f"needs {', '.join(spec.capabilities) or 'nothing'}",
        *(f"label {key}={value}" for key, value in sorted(spec.labels.items())),
        *(f"parameter {line}" for line in parameters_text(spec).splitlines()),
        *(f"set {name} = {shown(value)}" for name, value in spec.parameters.items() if name in spec.declared),
    ]
    return "\n".join([*settings, "", spec.script])
