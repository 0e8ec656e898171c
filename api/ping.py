"""POST /api/v1/ping: a node says that it lives, and is told what to do; held until there is something, if it likes."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response

from api import body, door, traffic
from api.auth import authenticate
from api.contact import NOTHING_WAITS as NOTHING
from api.contact import Contacts, Waiting
from api.monitor_sets import MonitorSets
from api.openapi import WITH_BODY, WITH_KEY, described
from api.wakes import Wakes
from domain import pings
from domain.commands import Command
from domain.errors import UnsupportedMedia
from domain.ids import AccountId
from domain.live import Ask
from domain.nodes import NodeState
from domain.pings import Ping
from domain.settings import Settings

router = APIRouter()
BODY_MAX_BYTES = 262_144
_LOOK_AGAIN_S = 1.0
"""When a held ping that was woken while Redis is away looks again."""
_CURL_DEFAULT = "application/x-www-form-urlencoded"


class _Order(msgspec.Struct):
    id: str
    kind: str
    payload: dict[str, Any]
    expires_at: float


class _Node(msgspec.Struct):
    name: str
    state: str


class _Monitors(msgspec.Struct):
    hash: str


class _Answer(msgspec.Struct):
    """`live` is what to stream while somebody looks; `monitors` are others than the node runs. Null asks nothing."""

    server_time: float
    ping_interval_s: float
    commands: list[_Order]
    node: _Node
    monitors: _Monitors | None = None
    live: Ask | None = None


_encode = msgspec.json.Encoder().encode


@router.post("/api/v1/ping", **described(takes=Ping, gives=_Answer, problems=(*WITH_KEY, *WITH_BODY)))
async def post_ping(request: Request) -> Response:
    """Note the contact and answer with what waits; with `wait` and nothing waiting, hold the request for a while."""
    now_ms = _now_ms()
    principal = await authenticate(request)
    _check_media(request)
    ping = pings.parse(await body.read(request, BODY_MAX_BYTES))
    door.pinged(request, ping.node, ping.sent_at, now_ms)
    state = request.app.state
    settings: Settings = state.settings
    contacts: Contacts = state.contacts
    hold_s = pings.hold_s(ping, settings.ping_interval_s, settings.ping_max_wait_s)
    if hold_s == 0:
        beat = await contacts.ping(principal.account_id, ping, now_ms)
        waiting = Waiting(beat.commands, beat.live, await _monitors(request, principal.account_id, ping))
        return _answer(principal.account_id, ping, waiting, settings.ping_interval_s)
    waiting = await _hold(request, principal.account_id, ping, now_ms, hold_s)
    return _answer(principal.account_id, ping, waiting, settings.ping_interval_s)


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """What pings need while the process serves: `state.contacts`, `state.wakes`, and `state.stopping` if it is missing.

    Setting `stopping` answers all held pings at once.
    """
    if not hasattr(state, "stopping"):
        state.stopping = asyncio.Event()
    contacts = state.contacts = Contacts(state.stores, state.settings)
    wakes = state.wakes = Wakes(state.stores.redis)
    tasks = [
        asyncio.create_task(work)
        for work in (contacts.sign_forever(), wakes.listen_forever(), _close_on(state.stopping, wakes))
    ]
    try:
        yield
    finally:
        wakes.close()
        await contacts.registrar.drain()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hold(request: Request, account_id: AccountId, ping: Ping, now_ms: int, hold_s: float) -> Waiting:
    """What waits, or comes within `hold_s`; nothing when nothing does, or we are stopping."""
    state = request.app.state
    contacts: Contacts = state.contacts
    wakes: Wakes = state.wakes
    with wakes.waiting(account_id, ping.node) as woken:
        beat = await contacts.ping(account_id, ping, now_ms)
        waiting = Waiting(beat.commands, beat.live, await _monitors(request, account_id, ping))
        if woken is None:
            return waiting
        began = time.perf_counter()
        try:
            async with asyncio.timeout(hold_s):
                while not waiting.is_news_to(ping) and not wakes.is_closed:
                    await woken.wait()
                    woken.clear()
                    found = await _look(request, contacts, account_id, ping)
                    if found is None:  # else what woke us would wait for the next ping
                        asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, woken.set)
                    waiting = found or NOTHING
        except TimeoutError:
            return NOTHING
        finally:
            traffic.held(request, time.perf_counter() - began)
        return waiting


async def _look(request: Request, contacts: Contacts, account_id: AccountId, ping: Ping) -> Waiting | None:
    """Lease for a held ping, unless its sender has gone: the command would wait out its lease for nobody.

    None while Redis is away.
    """
    if await request.is_disconnected():
        return NOTHING
    await authenticate(request)  # a key that was revoked meanwhile is handed nothing
    found = await contacts.waiting(account_id, ping.node, _now_ms())
    return found and replace(found, monitors=await _monitors(request, account_id, ping))


async def _monitors(request: Request, account_id: AccountId, ping: Ping) -> str | None:
    """The hash of what the node is to run; None for who runs no monitors, and while it is not known."""
    if ping.monitors is None or ping.goodbye is not None:
        return None
    sets: MonitorSets = request.app.state.monitor_sets
    found = await sets.find(account_id, ping.node, ping.labels)
    return found.hash if found else None


async def _close_on(stopping: asyncio.Event, wakes: Wakes) -> None:
    await stopping.wait()
    wakes.close()


def _answer(account_id: AccountId, ping: Ping, waiting: Waiting, interval_s: float) -> Response:
    """A node that was just heard is online, whatever the sweep has recorded last."""
    now_s = time.time()
    answer = _Answer(
        server_time=now_s,
        ping_interval_s=round(pings.next_s(account_id, ping.node, now_s, interval_s), 3),
        commands=[_order(command) for command in waiting.commands],
        node=_Node(ping.node, NodeState.ONLINE),
        monitors=None if waiting.monitors in (None, ping.monitors) else _Monitors(waiting.monitors),
        live=waiting.live,
    )
    return Response(_encode(answer), media_type=body.JSON)


def _order(command: Command) -> _Order:
    return _Order(command.id, command.kind, dict(command.payload), command.expires_ms / 1000)


def _check_media(request: Request) -> None:
    """JSON, also when it comes under the name that `curl -d` gives to everything."""
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != _CURL_DEFAULT and body.media_type(request) != body.JSON:
        raise UnsupportedMedia("a ping is application/json", headers={"Accept": body.JSON})


def _now_ms() -> int:
    return int(time.time() * 1000)
