"""What the log tells of nodes: for the page of one, and for the graphs that their past lies under."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, Select, func, select

from domain.events import Event
from domain.history import STANDINGS
from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import events
from schema.events import to_event
from schema.nodes import NodeRow


@dataclass(frozen=True, slots=True)
class Recorded:
    """Events of one node, and the one before the oldest of them that says how the node stood until then.

    before   None when the node was not there yet
    is_cut   there are more, older ones, than were asked for
    """

    events: Sequence[Event]
    before: Event | None
    is_cut: bool


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a node's events, the newest first, and what is needed to go on.

    after    the event after the newest of them that changed how the node stood: until then what it was lasted
    """

    events: Sequence[Event]
    after: Event | None
    has_older: bool


@dataclass(frozen=True, slots=True)
class Moves:
    """How several nodes stood: the events that changed it, oldest first, and by stream the one before the first.

    is_cut  there are more, older ones, than were asked for
    """

    events: Sequence[Event]
    before: Mapping[str, Event]
    is_cut: bool


def moves(
    engine: Engine, account_id: AccountId, found: Collection[NodeRow], since: datetime, until: datetime, at_most: int
) -> Moves:
    """What changed how these nodes stood in [since, until); the newest when there is more than `at_most`."""
    theirs = (
        events.c.stream.in_([f"node/{node.id}" for node in found]),
        events.c.account_id == account_id,
        events.c.type.in_(STANDINGS),
    )
    newest = select(events).where(*theirs, events.c.at >= since, events.c.at < until).order_by(events.c.seq.desc())
    with reading(engine) as conn:
        moved = [to_event(record) for record in conn.execute(newest.limit(at_most + 1))]
        is_cut = len(moved) > at_most
        moved = moved[:at_most][::-1]
        earlier = events.c.seq < moved[0].seq if is_cut else events.c.at < since
        last = select(func.max(events.c.seq)).where(*theirs, earlier).group_by(events.c.stream)
        stood = {event.stream: event for event in _those(conn, last)}
    return Moves(moved, stood, is_cut)


def _those(conn: Connection, seqs: Select[tuple[int]]) -> list[Event]:
    return [to_event(record) for record in conn.execute(select(events).where(events.c.seq.in_(seqs)))]


def between(engine: Engine, node: NodeRow, since: datetime, until: datetime, at_most: int) -> Recorded:
    """What happened to a node in [since, until), oldest first; the newest when there is more than `at_most`."""
    newest = _newest(node).where(events.c.at >= since, events.c.at < until).limit(at_most + 1)
    with reading(engine) as conn:
        found = [to_event(record) for record in conn.execute(newest)]
        is_cut = len(found) > at_most
        found = found[:at_most][::-1]
        known = events.c.version < found[0].version if found else events.c.at < since
        stood = conn.execute(_newest(node).where(known, events.c.type.in_(STANDINGS)).limit(1)).one_or_none()
    return Recorded(found, to_event(stood) if stood else None, is_cut)


def page(engine: Engine, node: NodeRow, older_than: int | None, at_most: int) -> Page:
    """The events before a version, or the newest ones."""
    query = _newest(node) if older_than is None else _newest(node).where(events.c.version < older_than)
    with reading(engine) as conn:
        found = [to_event(record) for record in conn.execute(query.limit(at_most + 1))]
        later = _of(node).where(events.c.type.in_(STANDINGS), events.c.version >= (older_than or node.version + 1))
        after = conn.execute(later.order_by(events.c.version).limit(1)).one_or_none()
    return Page(found[:at_most], to_event(after) if after else None, len(found) > at_most)


def _newest(node: NodeRow) -> Select[tuple[object, ...]]:
    return _of(node).order_by(events.c.version.desc())


def _of(node: NodeRow) -> Select[tuple[object, ...]]:
    return select(events).where(events.c.stream == f"node/{node.id}", events.c.account_id == node.account_id)
