"""Monitors for programs with a key of scope `manage`: what `metrist monitors` uses, and anything like it.

`GET /api/v1/monitors` answers agents as well, who ask for a node: api/monitors.py.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api import body
from api import monitors as for_agents
from api.auth import Principal, authenticate
from api.openapi import WITH_BODY, WITH_KEY, described
from api.shapes import Bundle, MonitorAnswer, MonitorsAnswer
from dashboards.monitors import lua
from domain import monitors as rules
from domain.errors import Conflict, InvalidBody, InvalidQuery, LimitReached, NotFound
from domain.keys import Scope
from domain.monitors import SCRIPT_MAX_BYTES, Spec, Target
from schema import monitor_runs, monitors
from schema.monitors import Monitor

HERE = "/api/v1/monitors"
BODY_MAX_BYTES = 4 * SCRIPT_MAX_BYTES

router = APIRouter()
T = TypeVar("T")


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    """A monitor as it is to be; `push` rolls out what is new, and what was never pushed."""

    spec: Spec
    target: Target = Target()
    note: str = ""
    push: bool = True


class _Push(msgspec.Struct, forbid_unknown_fields=True):
    version: int | None = None


_FOUND = (*WITH_KEY, NotFound)
_CHANGED = described(gives=MonitorAnswer, problems=(*_FOUND, InvalidBody, Conflict))


@router.get(
    HERE,
    **described(
        gives=MonitorsAnswer | Bundle,
        also={304: "The node runs just these (If-None-Match)"},
        problems=(*WITH_KEY, InvalidQuery, InvalidBody),
    ),
)
async def list_all(request: Request, node: str | None = None, instance: str | None = None) -> Response:
    """All monitors of the account, for programs; with a node its signed bundle, for its agent."""
    if node is not None:
        return await for_agents.bundle(request, node, instance)
    principal = await authenticate(request, Scope.MANAGE)
    found = await _run(request, monitors.list_for, principal)
    return _json({"monitors": [_told(one) for one in found]})


@router.get(f"{HERE}/{{name}}", **described(gives=MonitorAnswer, problems=_FOUND))
async def read(request: Request, name: str) -> Response:
    """One monitor. Raises NotFound."""
    principal = await authenticate(request, Scope.MANAGE)
    return _json(_told(await _run(request, monitors.find, principal, name)))


@router.put(
    f"{HERE}/{{name}}",
    **described(
        takes=_Written,
        gives=MonitorAnswer,
        also={201: "It is new"},
        problems=(*_FOUND, *WITH_BODY, Conflict, LimitReached),
    ),
)
async def write(request: Request, name: str) -> Response:
    """Make a monitor or its next version, and push it; what is so already changes nothing. Raises InvalidBody."""
    principal = await authenticate(request, Scope.MANAGE)
    told = body.decoded(await body.read(request, BODY_MAX_BYTES), _Written)
    spec, target = rules.check(told.spec), rules.check_target(told.target)
    await asyncio.to_thread(lua.require_sound, spec.script)
    work = partial(_write, request, principal, rules.clean_name(name), spec, target, told)
    before, after = await asyncio.to_thread(work)
    if before is None or before.version != after.version:
        await _tell(request, principal)
    return _json(_told(after), 201 if before is None else 200)


@router.post(
    f"{HERE}/{{name}}/push",
    **described(takes=_Push, gives=MonitorAnswer, problems=(*_FOUND, *WITH_BODY, Conflict)),
)
async def push(request: Request, name: str) -> Response:
    """Roll a version out, the newest unless the body names one. Raises NotFound."""
    principal = await authenticate(request, Scope.MANAGE)
    asked = body.decoded(await body.read(request, BODY_MAX_BYTES) or b"{}", _Push)
    before = await _run(request, monitors.find, principal, name)
    await monitor_runs.forget(request.app.state.stores.redis, principal.account_id, before.id)
    return await _change(request, principal, monitors.push, name, number=asked.version)


@router.post(f"{HERE}/{{name}}/pause", **_CHANGED)
async def pause(request: Request, name: str) -> Response:
    """Have no node run it. Raises NotFound."""
    principal = await authenticate(request, Scope.MANAGE)
    return await _change(request, principal, monitors.switch, name, is_paused=True)


@router.post(f"{HERE}/{{name}}/resume", **_CHANGED)
async def resume(request: Request, name: str) -> Response:
    """Have its nodes run it again. Raises NotFound."""
    principal = await authenticate(request, Scope.MANAGE)
    return await _change(request, principal, monitors.switch, name, is_paused=False)


@router.delete(f"{HERE}/{{name}}", **_CHANGED)
async def remove(request: Request, name: str) -> Response:
    """End a monitor; its samples stay. Raises NotFound."""
    principal = await authenticate(request, Scope.MANAGE)
    return await _change(request, principal, monitors.remove, name)


def _write(
    request: Request, principal: Principal, name: str, spec: Spec, target: Target, told: _Written
) -> tuple[Monitor | None, Monitor]:
    control, now, actor = request.app.state.stores.control, datetime.now(UTC), f"key/{principal.key_id}"
    who = (control, principal.account_id, name)
    try:
        before = monitors.find(*who)
    except NotFound:
        before = None
        after = monitors.create(*who, spec, target, now, actor=actor, note=told.note)
    else:
        monitors.retarget(*who, target, now, actor=actor)
        after = monitors.save(*who, spec, now, actor=actor, note=told.note)
    return before, monitors.push(*who, now, actor=actor) if told.push and after.pushed != after.head else after


async def _change(
    request: Request, principal: Principal, work: Callable[..., Monitor], name: str, **how: Any
) -> Response:
    made = partial(work, actor=f"key/{principal.key_id}", **how)
    changed = await _run(request, made, principal, name, datetime.now(UTC))
    await _tell(request, principal)
    return _json(_told(changed))


async def _run(request: Request, work: Callable[..., T], principal: Principal, *args: Any) -> T:
    return await asyncio.to_thread(work, request.app.state.stores.control, principal.account_id, *args)


async def _tell(request: Request, principal: Principal) -> None:
    await monitor_runs.tell_changed(request.app.state.stores.redis, principal.account_id)


def _told(monitor: Monitor) -> dict[str, Any]:
    return {
        "name": monitor.name,
        "version": monitor.head,
        "spec": rules.as_json(monitor.spec),
        "target": rules.as_json(monitor.target),
        "good": monitor.good,
        "pushed": monitor.pushed,
        "stage": monitor.stage.value,
        "reason": monitor.reason,
        "paused": monitor.is_paused,
    }


def _json(told: dict[str, Any], status: int = 200) -> Response:
    return Response(msgspec.json.encode(told), status, media_type=body.JSON)
