"""What the log tells of one node: for its page, and for the graphs that its past lies under."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Select, select

from domain.events import Event
from domain.history import STANDINGS
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
