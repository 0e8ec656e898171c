"""A node's page: its graphs, what is odd about it, its history; and its removal."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time
from typing import Annotated
from urllib.parse import quote

import structlog
from anyio import to_thread
from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine

from dashboards import node_history
from dashboards.badges import Badge, badge_of
from dashboards.charts import Group, Latest, group
from dashboards.format import ago
from dashboards.headers import require_same_origin
from dashboards.node_history import History
from dashboards.node_notices import notices
from dashboards.render import page
from dashboards.signin import viewer_of
from dashboards.watch import AWAY, watch_of
from domain.errors import MetristError, NotFound
from domain.permissions import Permission, require
from domain.series import Selector
from schema import erasures, events, heartbeats, keys, node_events, nodes, series
from schema.heartbeats import Contact
from schema.nodes import NodeRow
from schema.sessions import Viewer

log = structlog.get_logger()
RANGES = {
    "5m": "5 minutes",
    "15m": "15 minutes",
    "1h": "1 hour",
    "3h": "3 hours",
    "12h": "12 hours",
    "1d": "day",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "1y": "year",
}
USUAL_RANGE, YOUNG_RANGE, YOUNG_S = "1h", "15m", 1_800
"""What a node's page opens with; the little that a young node has sent would be lost in an hour."""

UNWELL_MAX = 50
"""Statuses that a node's page names."""
LISTED_DAYS = 400
"""A metric the node has not sent for so long has no graph; those without samples in the shown range fold away."""

Viewing = Annotated[Viewer, Depends(viewer_of)]

router = APIRouter(include_in_schema=False)


@router.get("/nodes/{name:path}")
async def show_node(
    name: str, request: Request, viewer: Viewing, part: str = "", older_than: int | None = None
) -> Response:
    """A node and all its graphs; `part` is only one part of the page, or the question before its removal.

    older_than  the history from before this version. Raises NotFound.
    """
    node = await to_thread.run_sync(_find, request, viewer, name)
    match part:
        case "groups":
            return page(request, "_groups.html", viewer, groups=await _groups(request, viewer, name))
        case "notices":
            unwell = await _unwell(request, viewer, name)
            return page(request, "_notices.html", viewer, notices=await _notices(request, node), unwell=unwell)
        case "history":
            history = await _history(request, node, older_than)
            return page(request, "_history.html", viewer, node=node, history=history)
        case "remove":
            require(viewer.role, Permission.MANAGE_NODES)
            return page(request, "node_remove.html", viewer, node=node, contact=await _contact(request, node))
        case _:
            return await _show(request, viewer, node, older_than)


@router.post("/nodes/{name:path}", dependencies=[Depends(require_same_origin)])
async def remove_node(
    name: str, request: Request, viewer: Viewing, samples: Annotated[bool, Form()] = False
) -> Response:
    """Forget a node, and with `samples` also erase what it has sent. Raises Forbidden, NotFound."""
    require(viewer.role, Permission.MANAGE_NODES)
    stores, now = request.app.state.stores, datetime.now(UTC)
    await to_thread.run_sync(_remove, stores.control, viewer, name, samples, now)
    log.info("node_removed", node=name, account_id=str(viewer.account_id), samples=samples)
    message = json.dumps({"type": "node_removed", "node": name, "at": now.timestamp()})
    try:
        await heartbeats.forget(stores.redis, viewer.account_id, name)
        await stores.redis.publish(keys.events_channel(viewer.account_id), message)
    except (MetristError, RedisError, OSError) as error:  # the next reconciliation does it
        log.warning("node_not_forgotten", node=name, error=type(error).__name__)
    return RedirectResponse("/nodes", 303)


def _find(request: Request, viewer: Viewer, name: str) -> NodeRow:
    node = nodes.find(request.app.state.stores.control, viewer.account_id, name)
    if node is None:
        raise NotFound(f"There is no node {name} in this account")
    return node


async def _show(request: Request, viewer: Viewer, node: NodeRow, older_than: int | None) -> Response:
    groups, contact, history, unwell = await asyncio.gather(
        _groups(request, viewer, node.name),
        _contact(request, node),
        _history(request, node, older_than),
        _unwell(request, viewer, node.name),
    )
    now_s = time()
    contact_s = contact.last / 1000 if contact and not contact.presumed else None
    age_s = now_s - node.registered_at.timestamp()
    return page(
        request,
        "node.html",
        viewer,
        node=node,
        address=f"/nodes/{quote(node.name)}",
        groups=groups,
        unwell=unwell,
        notices=notices(node, contact, request.app.state.settings, datetime.now(UTC)),
        history=history,
        ranges=RANGES,
        range=YOUNG_RANGE if age_s < YOUNG_S else USUAL_RANGE,
        contact_s=contact_s,
        contact_words=ago(None if contact_s is None else now_s - contact_s),
        registered_words=ago(age_s),
    )


def _remove(control: Engine, viewer: Viewer, name: str, with_samples: bool, now: datetime) -> None:
    def work(conn: Connection) -> None:
        nodes.remove_in(conn, viewer.account_id, name, now, actor=viewer.actor)
        if with_samples:
            erasures.ask(conn, viewer.account_id, name, now)

    events.retrying(control, work)


async def _notices(request: Request, node: NodeRow) -> object:
    return notices(node, await _contact(request, node), request.app.state.settings, datetime.now(UTC))


async def _unwell(request: Request, viewer: Viewer, name: str) -> Sequence[Badge]:
    """What conditions say of it, where that is not ok; as the list of nodes knows it."""
    follower = await watch_of(request.app.state, viewer.account_id).open_node(name)
    return [badge_of(one, but=name) for node in follower.nodes() for one in node.unwell[:UNWELL_MAX]]


async def _history(request: Request, node: NodeRow, older_than: int | None) -> History:
    control = request.app.state.stores.control
    found = await to_thread.run_sync(node_events.page, control, node, older_than, node_history.ROWS)
    return node_history.tell(found, datetime.now(UTC))


async def _groups(request: Request, viewer: Viewer, name: str) -> tuple[Group, ...]:
    """The node's graphs; none while the store of samples is away, the page asks again by itself."""
    selector, since_s = Selector([], [name]), time() - LISTED_DAYS * 86_400
    ask = (request.app.state.stores.clickhouse, viewer.account_id, selector, since_s)
    try:
        found = await to_thread.run_sync(series.list_series, *ask)
    except AWAY:
        return ()
    return group(Latest(one.metric, one.labels, one.last_ts, one.last) for one in found)


async def _contact(request: Request, node: NodeRow) -> Contact | None:
    """What Redis knows of it; nothing while that is away."""
    try:
        found = await heartbeats.read_contacts(request.app.state.stores.redis, node.account_id, [node.name])
    except AWAY:
        return None
    return found.get(node.name)
