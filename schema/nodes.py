"""Nodes: registered at their first contact, moved between states, each step an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, Select, select

from domain.errors import NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId, NodeId
from domain.nodes import NodeState, is_new_instance, may_move
from schema import events
from schema.control.engine import reading
from schema.control.tables import nodes

NAMES_AT_ONCE = 500
"""SQLite takes a bounded number of parameters."""


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node as last recorded.

    state_since  when that state began, by our clock
    instance_id  the installation behind the name, and since when; None when its agent tells none
    agent        what the agent said of itself: version, os …
    is_ephemeral it comes and goes: deregistered without a word as soon as it is offline
    away_since   when it last said goodbye, and by when it meant to be back
    """

    id: NodeId
    account_id: AccountId
    name: str
    state: NodeState
    state_since: datetime
    registered_at: datetime
    instance_id: str | None
    instance_since: datetime | None
    labels: Mapping[str, str]
    agent: Mapping[str, Any]
    version: int
    is_ephemeral: bool = False
    away_since: datetime | None = None
    away_until: datetime | None = None


def register(
    engine: Engine,
    account_id: AccountId,
    name: str,
    instance_id: str | None,
    now: datetime,
    *,
    labels: Mapping[str, str] | None = None,
    agent: Mapping[str, Any] | None = None,
    agent_clock: datetime | None = None,
    cause: str = "contact",
) -> NodeRow:
    """The node of this name, made at its first contact; one that was deregistered is online again.

    labels, agent  None leaves what is recorded; give only what seldom changes, for each change is an event
    agent_clock    the agent's own time as it sent, kept beside ours in the event

    Writes only what is news, so it may be called with every contact. A new node has `registered_at == now`,
    a returned one `state_since == now`. Coming back from late or offline is `transition`, not this.
    """
    contact = _Contact(instance_id, labels, agent, agent_clock, cause)
    known = find(engine, account_id, name)
    if known is not None and not _news(known, contact, now):
        return known
    return events.retrying(engine, lambda conn: _register(conn, account_id, name, contact, now))


def register_many(
    engine: Engine, account_id: AccountId, names: Sequence[str], now: datetime, *, cause: str = "contact"
) -> list[NodeRow]:
    """As `register` for many nodes that a batch of snapshots named, with one commit for all of them."""
    contact = _Contact(None, None, None, None, cause)

    def work(conn: Connection) -> list[NodeRow]:
        events.hold(conn)
        known = {node.name: node for node in _all_named(conn, account_id, names)}
        strangers = {f"node/{uuid4()}": name for name in names if name not in known}
        if strangers:
            first = {stream: _first(account_id, name, contact, stream) for stream, name in strangers.items()}
            events.open_streams(conn, first, now)
        met = [_register(conn, account_id, node.name, contact, now) for node in known.values()]
        return met + _all_named(conn, account_id, list(strangers.values()))

    return events.retrying(engine, work)


def transition(
    engine: Engine,
    account_id: AccountId,
    node_id: NodeId,
    to_state: NodeState,
    *,
    cause: str,
    now: datetime,
    agent_clock: datetime | None = None,
) -> NodeRow | None:
    """Move a node and record why; None when there is no such move from where it is now. Raises NotFound."""

    def work(conn: Connection) -> NodeRow | None:
        return transition_in(conn, account_id, node_id, to_state, cause=cause, now=now, agent_clock=agent_clock)

    return events.retrying(engine, work)


def transition_in(
    conn: Connection,
    account_id: AccountId,
    node_id: NodeId,
    to_state: NodeState,
    *,
    cause: str,
    now: datetime,
    agent_clock: datetime | None = None,
) -> NodeRow | None:
    """As `transition`, within the caller's transaction: a sweep moves many nodes with one commit."""
    events.hold(conn)  # before reading, so that no race with a contact undoes the moves of a whole sweep
    node = _one(conn, (nodes.c.account_id == account_id) & (nodes.c.id == node_id))
    if node is None:
        raise NotFound("The account has no such node")
    if not may_move(node.state, to_state):
        return None
    return _append(conn, node, [_moved(node, to_state, cause, agent_clock)], now)


def find(engine: Engine, account_id: AccountId, name: str) -> NodeRow | None:
    """The account's node of this name, deregistered or not."""
    with reading(engine) as conn:
        return _find(conn, account_id, name)


def find_many(engine: Engine, account_id: AccountId, names: Sequence[str]) -> dict[str, NodeRow]:
    """The account's nodes of these names by name, as far as they are known."""
    with reading(engine) as conn:
        return {node.name: node for node in _all_named(conn, account_id, names)}


def list_for(engine: Engine, account_id: AccountId) -> Sequence[NodeRow]:
    """All nodes of an account by name, deregistered ones included."""
    return _list(engine, nodes.c.account_id == account_id)


def all_live(engine: Engine) -> Sequence[NodeRow]:
    """Every account's nodes that are not deregistered: what a start reads its deadlines from."""
    return _list(engine, nodes.c.state != NodeState.DEREGISTERED.value)


def _find(conn: Connection, account_id: AccountId, name: str) -> NodeRow | None:
    return _one(conn, (nodes.c.account_id == account_id) & (nodes.c.name == name))


def _all_named(conn: Connection, account_id: AccountId, names: Sequence[str]) -> list[NodeRow]:
    return [
        _to_node(node)
        for start in range(0, len(names), NAMES_AT_ONCE)
        for node in conn.execute(_named(account_id, names[start : start + NAMES_AT_ONCE])).mappings()
    ]


def _named(account_id: AccountId, names: Sequence[str]) -> Select[Any]:
    return select(nodes).where(nodes.c.account_id == account_id, nodes.c.name.in_(names))


def _one(conn: Connection, where: ColumnElement[bool]) -> NodeRow | None:
    found = conn.execute(select(nodes).where(where)).mappings().one_or_none()
    return _to_node(found) if found else None


def _list(engine: Engine, where: ColumnElement[bool]) -> Sequence[NodeRow]:
    with reading(engine) as conn:
        found = conn.execute(select(nodes).where(where).order_by(nodes.c.account_id, nodes.c.name)).mappings()
        return [_to_node(node) for node in found]


def _to_node(row: Mapping[Any, Any]) -> NodeRow:
    return NodeRow(**{**row, "state": NodeState(row["state"])})


@dataclass(frozen=True, slots=True)
class _Contact:
    """What a node says of itself when it comes; None is what it leaves unsaid."""

    instance_id: str | None
    labels: Mapping[str, str] | None
    agent: Mapping[str, Any] | None
    agent_clock: datetime | None
    cause: str


def _register(conn: Connection, account_id: AccountId, name: str, contact: _Contact, now: datetime) -> NodeRow:
    events.hold(conn)
    known = _find(conn, account_id, name)
    if known is None:
        return _create(conn, account_id, name, contact, now)
    news = _news(known, contact, now)
    return _append(conn, known, news, now) if news else known


def _create(conn: Connection, account_id: AccountId, name: str, contact: _Contact, now: datetime) -> NodeRow:
    stream = f"node/{uuid4()}"
    return _record(conn, stream, 0, [_first(account_id, name, contact, stream)], now)


def _first(account_id: AccountId, name: str, contact: _Contact, stream: str) -> NewEvent:
    payload = {
        "account_id": str(account_id),
        "name": name,
        "instance_id": contact.instance_id,
        "labels": dict(contact.labels or {}),
        "agent": dict(contact.agent or {}),
        "cause": contact.cause,
        "agent_clock": _iso(contact.agent_clock),
    }
    return NewEvent("node_registered", payload, stream)


def _news(node: NodeRow, contact: _Contact, now: datetime) -> list[NewEvent]:
    """What this contact tells that is not recorded yet."""
    actor = f"node/{node.id}"
    news = []
    if node.state == NodeState.DEREGISTERED:
        news.append(_moved(node, NodeState.ONLINE, contact.cause, contact.agent_clock, actor))
    is_new = is_new_instance(contact.instance_id, node.instance_id, node.instance_since, now)
    if is_new:
        changed = {"instance_id": contact.instance_id, "before": node.instance_id}
        news.append(NewEvent("node_instance_changed", changed, actor))
    if is_new or contact.instance_id in (None, node.instance_id):  # else a twin, whose description would flap
        news += _described(node, contact, actor)
    return news


def _described(node: NodeRow, contact: _Contact, actor: str) -> list[NewEvent]:
    said = {
        "labels": dict(node.labels if contact.labels is None else contact.labels),
        "agent": dict(node.agent if contact.agent is None else contact.agent),
    }
    return [] if said == {"labels": node.labels, "agent": node.agent} else [NewEvent("node_described", said, actor)]


def _moved(
    node: NodeRow, to_state: NodeState, cause: str, agent_clock: datetime | None, actor: str = SYSTEM
) -> NewEvent:
    payload = {"from": node.state.value, "cause": cause, "agent_clock": _iso(agent_clock)}
    return NewEvent(f"node_{to_state.value}", payload, actor)


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _append(conn: Connection, node: NodeRow, new: Sequence[NewEvent], now: datetime) -> NodeRow:
    return _record(conn, f"node/{node.id}", node.version, new, now)


def _record(conn: Connection, stream: str, version: int, new: Sequence[NewEvent], now: datetime) -> NodeRow:
    events.append(conn, stream, version, new, now)
    table, key = events.identity(stream)
    return _to_node(conn.execute(select(table).where(table.c.id == key["id"])).mappings().one())
