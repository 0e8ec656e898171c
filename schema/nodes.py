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
from domain.nodes import NodeState, Said, is_new_instance, may_move
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
    away_since   when it said goodbye, and by when it means to be back; None since it was heard again
    interval_s   how often it pings, where that is seldomer than it is asked; 0 as asked, None when it never pinged
    clash_since  since when two machines report under its name; None while one does
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
    interval_s: int | None = None
    clash_since: datetime | None = None


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
    """As `meet` for one node."""
    said = Said(instance_id, labels, agent, sent_at=agent_clock)
    return meet(engine, account_id, {name: said}, now, cause=cause)[0]


def meet(
    engine: Engine, account_id: AccountId, said: Mapping[str, Said], now: datetime, *, cause: str = "contact"
) -> list[NodeRow]:
    """The nodes of these names, made at their first contact; one that was deregistered is online again.

    said  what each says of itself; None leaves what is recorded. Give only what seldom changes: each change is an event

    Writes only what is news, with one commit for all, so it may be called with every contact. A new node has
    `registered_at == now`, a returned one `state_since == now`. Coming back from late or offline is `transition`.
    """
    known = find_many(engine, account_id, list(said))
    if len(known) == len(said) and not any(_news(known[name], said[name], cause, now) for name in said):
        return list(known.values())
    return events.retrying(engine, lambda conn: _meet(conn, account_id, said, now, cause))


def register_many(
    engine: Engine, account_id: AccountId, names: Sequence[str], now: datetime, *, cause: str = "contact"
) -> list[NodeRow]:
    """As `meet` for nodes that say nothing of themselves."""
    return meet(engine, account_id, {name: Said() for name in names}, now, cause=cause)


def remove(engine: Engine, account_id: AccountId, name: str, now: datetime, *, actor: str) -> NodeRow:
    """Forget a node; one that is heard again is a new one. Returns what it was. Raises NotFound."""
    return events.retrying(engine, lambda conn: remove_in(conn, account_id, name, now, actor=actor))


def remove_in(conn: Connection, account_id: AccountId, name: str, now: datetime, *, actor: str) -> NodeRow:
    """As `remove`, within the caller's transaction."""
    events.hold(conn)
    node = _find(conn, account_id, name)
    if node is None:
        raise NotFound(f"There is no node {name} in this account")
    removed = NewEvent("node_removed", {"name": node.name, "state": node.state.value}, actor)
    events.append(conn, f"node/{node.id}", node.version, [removed], now)
    return node


def note_away_in(
    conn: Connection,
    account_id: AccountId,
    node_id: NodeId,
    until: datetime,
    *,
    reason: str,
    now: datetime,
    agent_clock: datetime | None = None,
) -> NodeRow:
    """Record that a node said goodbye at `now` and means to be back `until` then. Raises NotFound."""
    within_s = round((until - now).total_seconds())
    payload = {
        "until": until.isoformat(),
        "back_within_s": within_s,
        "reason": reason,
        "agent_clock": _iso(agent_clock),
    }
    return _note(conn, account_id, node_id, NewEvent("node_away", payload), now)


def note_back_in(
    conn: Connection, account_id: AccountId, node_id: NodeId, *, now: datetime, agent_clock: datetime | None = None
) -> NodeRow:
    """Record that a node that was away was heard again. Raises NotFound."""
    return _note(conn, account_id, node_id, NewEvent("node_back", {"agent_clock": _iso(agent_clock)}), now)


def note_clash_in(
    conn: Connection,
    account_id: AccountId,
    node_id: NodeId,
    instances: tuple[str, str],
    *,
    now: datetime,
    agent_clock: datetime | None = None,
) -> NodeRow:
    """Record that two machines, of these instances, report under one name. Raises NotFound."""
    payload = {"instances": list(instances), "agent_clock": _iso(agent_clock)}
    return _note(conn, account_id, node_id, NewEvent("node_clash_began", payload), now)


def note_clash_over_in(
    conn: Connection, account_id: AccountId, node_id: NodeId, lasted_s: int, *, now: datetime
) -> NodeRow:
    """Record that they do so no more, and for how long they took turns. Raises NotFound."""
    return _note(conn, account_id, node_id, NewEvent("node_clash_ended", {"lasted_s": lasted_s}), now)


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
    node = _of_id(conn, account_id, node_id)
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


def _of_id(conn: Connection, account_id: AccountId, node_id: NodeId) -> NodeRow:
    node = _one(conn, (nodes.c.account_id == account_id) & (nodes.c.id == node_id))
    if node is None:
        raise NotFound("The account has no such node")
    return node


def _note(conn: Connection, account_id: AccountId, node_id: NodeId, event: NewEvent, now: datetime) -> NodeRow:
    events.hold(conn)
    return _append(conn, _of_id(conn, account_id, node_id), [event], now)


def _meet(
    conn: Connection, account_id: AccountId, said: Mapping[str, Said], now: datetime, cause: str
) -> list[NodeRow]:
    events.hold(conn)
    known = {node.name: node for node in _all_named(conn, account_id, list(said))}
    strangers = {f"node/{uuid4()}": name for name in said if name not in known}
    if strangers:
        first = {stream: _first(account_id, name, said[name], cause, stream) for stream, name in strangers.items()}
        events.open_streams(conn, first, now)
    news = {name: _news(node, said[name], cause, now) for name, node in known.items()}
    met = [_append(conn, node, news[name], now) if news[name] else node for name, node in known.items()]
    return met + _all_named(conn, account_id, list(strangers.values()))


def _first(account_id: AccountId, name: str, said: Said, cause: str, stream: str) -> NewEvent:
    payload = {
        "account_id": str(account_id),
        "name": name,
        "instance_id": said.instance_id,
        "labels": dict(said.labels or {}),
        "agent": dict(said.agent or {}),
        "is_ephemeral": bool(said.is_ephemeral),
        "interval_s": said.interval_s,
        "cause": cause,
        "agent_clock": _iso(said.sent_at),
    }
    return NewEvent("node_registered", payload, stream)


def _news(node: NodeRow, said: Said, cause: str, now: datetime) -> list[NewEvent]:
    """What this contact tells that is not recorded yet."""
    actor = f"node/{node.id}"
    news = []
    if node.state == NodeState.DEREGISTERED:
        news.append(_moved(node, NodeState.ONLINE, cause, said.sent_at, actor))
    is_new = is_new_instance(said.instance_id, node.instance_id, node.instance_since, now)
    if is_new:
        changed = {"instance_id": said.instance_id, "before": node.instance_id}
        news.append(NewEvent("node_instance_changed", changed, actor))
    if is_new or said.instance_id in (None, node.instance_id):  # else a twin, whose description would flap
        news += _described(node, said, actor)
    return news


def _described(node: NodeRow, said: Said, actor: str) -> list[NewEvent]:
    told = {
        "labels": dict(node.labels if said.labels is None else said.labels),
        "agent": dict(node.agent if said.agent is None else said.agent),
        "interval_s": node.interval_s if said.interval_s is None else said.interval_s,
    }
    known = {"labels": node.labels, "agent": node.agent, "interval_s": node.interval_s}
    news = [] if told == known else [NewEvent("node_described", told, actor)]
    if said.is_ephemeral not in (None, node.is_ephemeral):
        news.append(NewEvent("node_ephemeral", {"is_ephemeral": said.is_ephemeral}, actor))
    return news


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
