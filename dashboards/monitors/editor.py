"""Writing a monitor: the editor, what is wrong at which line, and which nodes would run it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, Response

from dashboards.monitors import lua
from dashboards.monitors.common import HERE, REFUSALS, SAFELY, Viewing, go, place, tell
from dashboards.monitors.fleet import matching
from dashboards.monitors.form import Filled, fields_of, filled, show
from dashboards.monitors.reference import REFERENCE
from dashboards.monitors.starts import STARTS, find
from dashboards.render import page
from domain import monitors as rules
from domain.errors import InvalidBody, MetristError
from domain.monitors import CAPABILITIES, LIMITS, SCRIPT_MAX_BYTES, Target, is_able
from domain.nodes import NodeState
from domain.permissions import Permission, require
from schema import monitors, nodes
from schema.monitors import Monitor
from schema.sessions import Viewer

NAMED_MAX = 12
"""Nodes of a target that are shown by their names."""
OFFERED_MAX = 500
"""Names of nodes that a field offers."""
Form_ = Annotated[Filled, Depends(filled)]

router = APIRouter()


@router.get(f"{HERE}/new")
def new(request: Request, viewer: Viewing, start: str = "empty", match: str = "") -> Response:
    """The editor with one of the monitors to start from."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    chosen = find(start)
    return edit(request, viewer, show(chosen.slug, chosen.spec, Target(match=match)), start=chosen.slug)


@router.post(HERE, dependencies=SAFELY)
async def create(
    request: Request, viewer: Viewing, form: Form_, act: Annotated[str, Form(max_length=20)] = "save"
) -> Response:
    """A new monitor; `act` push sends it on its way at once."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    try:
        made = await to_thread.run_sync(_create, request, viewer, form)
    except REFUSALS as refusal:
        return await to_thread.run_sync(partial(edit, request, viewer, form, refusal=refusal))
    return await _done(request, viewer, made, act, "saved")


@router.get(f"{HERE}/{{name}}/edit")
def open_one(request: Request, viewer: Viewing, name: str, version: int | None = None) -> Response:
    """The editor with the newest version, or with an older one to go on from. Raises NotFound."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    control = request.app.state.stores.control
    monitor = monitors.find(control, viewer.account_id, name)
    spec = monitor.spec if version is None else monitors.find_version(control, viewer.account_id, name, version)
    return edit(request, viewer, show(name, spec, monitor.target, head=str(monitor.head)), monitor=monitor)


@router.post(f"{HERE}/{{name}}/edit", dependencies=SAFELY)
async def save(
    request: Request, viewer: Viewing, name: str, form: Form_, act: Annotated[str, Form(max_length=20)] = "save"
) -> Response:
    """The next version of a monitor, and its target. Raises NotFound."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    control = request.app.state.stores.control
    before = await to_thread.run_sync(monitors.find, control, viewer.account_id, name)
    try:
        after = await to_thread.run_sync(_save, request, viewer, name, form)
    except REFUSALS as refusal:
        again = replace(form, name=name)
        return await to_thread.run_sync(partial(edit, request, viewer, again, monitor=before, refusal=refusal))
    return await _done(request, viewer, after, act, "saved" if after.version != before.version else "unchanged")


@router.post(f"{HERE}/check", dependencies=SAFELY)
def check(viewer: Viewing, script: Annotated[str, Form(max_length=2 * SCRIPT_MAX_BYTES)] = "") -> Response:
    """What keeps a text from being a script, as it is typed."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    found = lua.problems(script) if script.strip() else []
    return JSONResponse({"problems": [{"line": one.line, "message": one.message} for one in found]})


@router.post(f"{HERE}/target", dependencies=SAFELY)
def target(request: Request, viewer: Viewing, form: Form_) -> Response:
    """Which nodes a target has just now, as it is typed."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    return page(request, "_monitor_target.html", viewer, target=_preview(request, viewer, form))


@router.post(f"{HERE}/parameters", dependencies=SAFELY)
def parameters(request: Request, viewer: Viewing, form: Form_) -> Response:
    """The fields of what is declared, as it is typed, and what is wrong with it."""
    require(viewer.role, Permission.MANAGE_MONITORS)
    return page(request, "_monitor_parameters.html", viewer, parameters=_parameters(form))


def edit(
    request: Request,
    viewer: Viewer,
    form: Filled,
    *,
    monitor: Monitor | None = None,
    start: str = "",
    refusal: MetristError | None = None,
    tried: Mapping[str, object] | None = None,
) -> Response:
    """The page of the editor; `tried` is what a run found."""
    known = nodes.list_for(request.app.state.stores.control, viewer.account_id)
    wrong = [one["line"] for one in refusal.errors if "line" in one] if refusal else []
    return page(
        request,
        "monitor_edit.html",
        viewer,
        place="monitors/edit",
        status=refusal.status if refusal else 200,
        refusal=refusal.detail if refusal else "",
        said="",
        form=form,
        monitor=monitor,
        starts=STARTS,
        start=start,
        wrong_line=wrong[0] if wrong else 0,
        target=_preview(request, viewer, form),
        parameters=_parameters(form),
        tried=tried,
        names=[node.name for node in known if node.state != NodeState.DEREGISTERED][:OFFERED_MAX],
        reference=REFERENCE,
        capabilities=CAPABILITIES,
        limits=LIMITS,
        script_max=SCRIPT_MAX_BYTES,
    )


def _create(request: Request, viewer: Viewer, form: Filled) -> Monitor:
    name, spec, target_of = rules.clean_name(form.name), form.spec(), form.target()
    lua.require_sound(spec.script)
    control, now = request.app.state.stores.control, datetime.now(UTC)
    return monitors.create(control, viewer.account_id, name, spec, target_of, now, actor=viewer.actor, note=form.note)


def _save(request: Request, viewer: Viewer, name: str, form: Filled) -> Monitor:
    spec, target_of = form.spec(), form.target()
    lua.require_sound(spec.script)
    who, now = (request.app.state.stores.control, viewer.account_id, name), datetime.now(UTC)
    saved = monitors.save(*who, spec, now, actor=viewer.actor, note=form.note, expected_head=form.expected_head)
    return monitors.retarget(*who, target_of, now, actor=viewer.actor) if saved.target != target_of else saved


async def _done(request: Request, viewer: Viewer, monitor: Monitor, act: str, said: str) -> Response:
    if act == "push" and (monitor.pushed != monitor.head or monitor.stage == "halted"):
        control, now = request.app.state.stores.control, datetime.now(UTC)
        await tell(request, monitor, anew=True)
        await to_thread.run_sync(
            lambda: monitors.push(control, viewer.account_id, monitor.name, now, actor=viewer.actor)
        )
        said = "pushed"
    await tell(request, monitor)
    return go(place(monitor.name, said=said))


def _parameters(form: Filled) -> dict[str, object]:
    try:
        return {"refusal": "", "fields": fields_of(form)}
    except InvalidBody as refusal:
        return {"refusal": refusal.detail, "fields": []}


def _preview(request: Request, viewer: Viewer, form: Filled) -> dict[str, object]:
    """How many nodes a target has, the first of them, and how many of them would run the monitor."""
    try:
        wanted = form.target()
    except InvalidBody as refusal:
        return {"refusal": refusal.detail}
    found = matching(wanted, nodes.list_for(request.app.state.stores.control, viewer.account_id))
    needs = [name for name in CAPABILITIES if name in form.capabilities]
    spec = rules.Spec(script="", capabilities=tuple(needs))
    names = {node.name for node in found}
    return {
        "refusal": "",
        "is_empty": wanted == Target(),
        "count": len(found),
        "names": sorted(names)[:NAMED_MAX],
        "able": sum(is_able(spec, node.agent) for node in found),
        "online": sum(node.state == NodeState.ONLINE for node in found),
        "unknown": [name for name in wanted.nodes if name not in names][:NAMED_MAX],
        "needs": needs,
    }
