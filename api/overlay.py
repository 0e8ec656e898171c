"""POST /api/v1/overlay: what happened while graphs were drawn, and why there may be nothing to see in them.

    {"nodes": ["web-1"], "metrics": ["cpu.usage_percent"], "from": "now-1h", "to": "now"}

    {"from_s": …, "to_s": …, "nodes": {"web-1": [{"standing": "offline", "from_s": …, "to_s": …}]},
     "events": [{"node": "web-1", "at": …, "title": "Offline", "detail": "no contact for 30 s", "standing": "offline"}],
     "conditions": [as /conditions/overlay.json], "outages": [[from_s, to_s]],
     "refused": [{"at": …, "node": "", "what": "5 samples refused", "detail": "…"}],
     "late": [{"node": "web-1", "from_s": …, "to_s": …, "at_s": …}], "is_cut": false, "left_out": 0}

`refused` is known for an hour, `late` for a day, `outages`, when nobody could be heard, for a week. `is_cut` says that
there are older events than are told, and the periods begin with the oldest that is; `left_out` are nodes asked for
beyond the first hundred.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from fastapi import APIRouter
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from api import body
from api.auth import authenticate_reader
from api.openapi import KEY_OR_SESSION, READING, WITH_BODY, described
from api.shapes import OverlayAnswer
from dashboards import node_history
from dashboards.conditions import overlay as condition_overlay
from dashboards.headers import require_same_origin
from domain import history, lateness
from domain.errors import InvalidQuery, StoreUnavailable
from domain.events import Event
from domain.history import STANDINGS, Period
from domain.ids import AccountId
from domain.series import Window, instant
from domain.series_key import InvalidKey
from domain.snapshots import check_node
from schema import door, hearing, node_events, nodes
from schema import lateness as late_store
from schema.node_events import Moves
from schema.nodes import NodeRow
from schema.stores import Stores

router = APIRouter()
SNAPSHOTS = "/api/v1/snapshots"
NODES_MAX = 100
METRICS_MAX = 50
EVENTS_MAX = 500
BODY_MAX_BYTES = 100_000
_UNKEPT = {"Cache-Control": "no-store"}


class _Body(msgspec.Struct, forbid_unknown_fields=True):
    nodes: list[str] = []
    metrics: list[str] = []
    since: str | float = msgspec.field(name="from", default="now-1h")
    until: str | float = msgspec.field(name="to", default="now")


@dataclass(frozen=True, slots=True)
class _Known:
    """What only Redis knows; nothing while it is away."""

    outages: Sequence[tuple[float, float]] = ()
    refused: Sequence[Mapping[str, Any]] = ()
    late: Sequence[lateness.Late] = ()


@router.post(
    "/api/v1/overlay",
    **described(takes=_Body, gives=OverlayAnswer, problems=(*READING, *WITH_BODY), who=KEY_OR_SESSION),
)
async def post_overlay(request: Request) -> Response:
    """What lies over graphs of these nodes and metrics in a window. Raises InvalidQuery, InvalidBody."""
    if "authorization" not in request.headers:
        require_same_origin(request)
    account_id = (await authenticate_reader(request)).account_id
    asked = await _asked(request)
    now_s = time.time()
    window = _window(asked, now_s)
    stores: Stores = request.app.state.stores
    names = list(dict.fromkeys(asked.nodes))
    told, known = await asyncio.gather(
        asyncio.to_thread(_recorded, stores, account_id, names[:NODES_MAX], asked.metrics, window, now_s),
        _known(stores, account_id, frozenset(names), window),
    )
    reply = {
        "from_s": window.from_s,
        "to_s": window.to_s,
        **told,
        "outages": known.outages,
        "refused": known.refused,
        "late": known.late,
        "left_out": max(0, len(names) - NODES_MAX),
    }
    return Response(msgspec.json.encode(reply), media_type="application/json", headers=_UNKEPT)


async def _asked(request: Request) -> _Body:
    asked = body.decoded(await body.read(request, BODY_MAX_BYTES), _Body)
    asked.metrics = asked.metrics[:METRICS_MAX]
    asked.nodes = [name for name in asked.nodes if _is_node(name)]
    return asked


def _is_node(name: str) -> bool:
    try:
        check_node(name)
    except InvalidKey:
        return False
    return True


def _window(asked: _Body, now_s: float) -> Window:
    from_s, to_s = instant(str(asked.since), now_s), instant(str(asked.until), now_s)
    if not from_s < to_s:
        raise InvalidQuery("`to` must lie after `from`")
    return Window(max(from_s, 0.0), max(to_s, 0.0))


def _recorded(
    stores: Stores, account_id: AccountId, names: Sequence[str], metrics: Sequence[str], window: Window, now_s: float
) -> dict[str, Any]:
    """What the control DB tells."""
    since, until = (datetime.fromtimestamp(at_s, UTC) for at_s in (window.from_s, window.to_s))
    found = nodes.find_many(stores.control, account_id, names)
    moves = node_events.moves(stores.control, account_id, found.values(), since, until, EVENTS_MAX)
    by_stream = {f"node/{node.id}": name for name, node in found.items()}
    shown = Window(moves.events[0].at.timestamp() if moves.is_cut else window.from_s, min(window.to_s, now_s))
    return {
        "nodes": {name: _periods(node, moves, shown) for name, node in found.items()},
        "events": [_told(by_stream[event.stream], event) for event in moves.events],
        "conditions": condition_overlay.read(stores.control, account_id, metrics, names, since, until),
        "is_cut": moves.is_cut,
    }


def _periods(node: NodeRow, moves: Moves, window: Window) -> list[Period]:
    """Up to now: nobody knows yet how it will stand."""
    stream = f"node/{node.id}"
    steps = [(event.at.timestamp(), STANDINGS[event.type]) for event in moves.events if event.stream == stream]
    before = STANDINGS[moves.before[stream].type] if stream in moves.before else None
    return list(history.periods(before, steps, window.from_s, max(window.from_s, window.to_s)))


def _told(name: str, event: Event) -> dict[str, Any]:
    title, detail = node_history.words(event)
    at_s = event.at.timestamp()
    return {"node": name, "at": at_s, "title": title, "detail": detail, "standing": STANDINGS[event.type]}


async def _known(stores: Stores, account_id: AccountId, names: frozenset[str], window: Window) -> _Known:
    try:
        outages, late, (entries, _) = await asyncio.gather(
            hearing.outages(stores.redis),
            late_store.read(stores.redis, account_id),
            door.read(stores.redis, account_id),
        )
    except (StoreUnavailable, RedisError):
        return _Known()
    refused = [
        {"at": one.at, "node": one.node, "what": one.what, "detail": one.detail}
        for one in entries
        if one.outcome == "refused" and one.what and window.from_s <= one.at < window.to_s
        if one.caller.path == SNAPSHOTS and (one.node in names or not one.node)
    ]
    return _Known(
        [(start / 1000, end / 1000) for start, end in outages if _meets(start / 1000, end / 1000, window)],
        refused,
        [one for one in lateness.merge(late) if one.node in names and _meets(one.from_s, one.to_s, window)],
    )


def _meets(from_s: float, to_s: float, window: Window) -> bool:
    return from_s < window.to_s and to_s >= window.from_s
