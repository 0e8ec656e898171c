"""The history of statuses: what became of a condition's groups, when, and by whom; one moment of it with its causes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, Engine, and_, select

from domain.condition_specs import Spec, spec_of
from domain.errors import NotFound
from domain.events import Event
from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import events
from schema.dashboards import names_of
from schema.events import to_event

PAGE = 50


@dataclass(frozen=True, slots=True)
class Told:
    """One event, and who was behind it; None for the platform."""

    event: Event
    by: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a condition's history, the newest first."""

    events: Sequence[Told]
    has_older: bool


@dataclass(frozen=True, slots=True)
class Moment:
    """One change of a status.

    events  of its incident up to this change, the oldest first
    name    what the condition was called, and how it was judged, then
    """

    event: Event
    events: Sequence[Event]
    name: str
    spec: Spec


def page(engine: Engine, account_id: AccountId, condition_id: UUID, older_than: int | None) -> Page:
    """What became of a condition and of its groups, below a place in the log."""
    theirs = events.c.account_id == account_id
    query = select(events).where(theirs, _about(condition_id)).order_by(events.c.seq.desc())
    if older_than is not None:
        query = query.where(events.c.seq < older_than)
    with reading(engine) as conn:
        found = [to_event(row) for row in conn.execute(query.limit(PAGE + 1))]
        names = names_of(conn, [event.actor for event in found])
    return Page([Told(event, names.get(event.actor)) for event in found[:PAGE]], len(found) > PAGE)


def between(
    engine: Engine, account_id: AccountId, condition_id: UUID, since: datetime, until: datetime, at_most: int
) -> list[Event]:
    """Moves of a condition's groups that were recorded in [since, until), oldest first; the newest of too many."""
    moved = events.c.type.in_(("status_moved", "status_ended"))
    query = select(events).where(events.c.account_id == account_id, _of_statuses(condition_id), moved)
    query = query.where(events.c.at >= since, events.c.at < until).order_by(events.c.seq.desc()).limit(at_most)
    with reading(engine) as conn:
        return [to_event(row) for row in conn.execute(query)][::-1]


def moment(engine: Engine, account_id: AccountId, condition_id: UUID, group_sha256: str, version: int) -> Moment:
    """One change with what led to it. Raises NotFound."""
    stream = f"status/{condition_id}/{group_sha256}"
    theirs = events.c.account_id == account_id
    until = select(events).where(theirs, events.c.stream == stream, events.c.version <= version)
    with reading(engine) as conn:
        found = [to_event(row) for row in conn.execute(until.order_by(events.c.version.desc()).limit(PAGE))][::-1]
        if not found or found[-1].version != version:
            raise NotFound("There is no such change in this account")
        saved = ("condition_created", "condition_changed")
        of_condition = (events.c.stream == f"condition/{condition_id}") & events.c.type.in_(saved)
        query = select(events).where(theirs, of_condition, events.c.seq < found[-1].seq)
        specs = [to_event(row) for row in conn.execute(query.order_by(events.c.version.desc()).limit(1))]
    if not specs:
        raise NotFound("There is no such condition in this account")
    return Moment(found[-1], _incident(found), specs[0].payload["name"], spec_of(specs[0].payload["spec"]))


def _incident(found: Sequence[Event]) -> list[Event]:
    """From the last time that all was well on."""
    calm = [place for place, event in enumerate(found[:-1]) if event.payload.get("to", "ok") == "ok"]
    starts = [place for place in calm if found[place].type in ("status_moved", "status_ended")]
    return list(found[starts[-1] + 1 :] if starts else found)


def _about(condition_id: UUID) -> ColumnElement[bool]:
    return _of_statuses(condition_id) | (events.c.stream == f"condition/{condition_id}")


def _of_statuses(condition_id: UUID) -> ColumnElement[bool]:
    """Streams that begin so; `0` is the character after `/`."""
    between: ColumnElement[bool] = and_(
        events.c.stream >= f"status/{condition_id}/", events.c.stream < f"status/{condition_id}0"
    )
    return between
