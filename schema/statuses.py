"""Statuses: what is known of each group of a condition. A change, and the deliveries it owes, are one transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, func, select, tuple_
from sqlalchemy import Row as Record

from domain.condition_notices import notice_of
from domain.condition_specs import Condition
from domain.conditions import Severity, State, Status, end
from domain.errors import Conflict, NotFound
from domain.evaluation import Group, Move
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId
from domain.live import Wish
from schema import deliveries, events, recordings, watermarks
from schema.control.engine import reading
from schema.control.tables import statuses
from schema.dashboards import names_of
from schema.recordings import Recording

AT_ONCE = 200
NOTE_MAX = 200


@dataclass(frozen=True, slots=True)
class StatusRow:
    """One group of a condition as last recorded."""

    condition_id: UUID
    group: Group
    account_id: AccountId
    status: Status
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    acknowledged_note: str
    version: int

    @property
    def stream(self) -> str:
        return stream_of(self.condition_id, self.group)


@dataclass(frozen=True, slots=True)
class Judged:
    """What conditions that are judged together gave at the instants after `before`, up to `to`."""

    conditions: Sequence[Condition]
    before: datetime
    to: datetime
    every_s: int
    moves: Sequence[tuple[Condition, Move]]


@dataclass(frozen=True, slots=True)
class Capture:
    """A condition asks for its node's live data to be kept when it comes to this; notices link to it."""

    condition_id: UUID
    group: Group
    wish: Wish
    lasts: timedelta
    note: str
    base_url: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What followed from what was recorded: deliveries that wait to be sent, recordings that have begun."""

    owed: int
    recordings: Sequence[Recording]


class Outrun(Conflict):
    """Someone else has judged, or changed, these conditions meanwhile: nothing was recorded."""


def stream_of(condition_id: UUID, group: Group) -> str:
    """The stream of a group's events."""
    return f"status/{condition_id}/{group.sha256}"


def record(
    engine: Engine,
    account_id: AccountId,
    judged: Sequence[Judged],
    now: datetime,
    captures: Sequence[Capture] = (),
) -> Recorded:
    """Move the watermarks, and record what changed with the deliveries it owes, all or nothing. Raises Outrun."""
    moves = [move for one in judged for move in one.moves]
    with engine.begin() as conn:
        if moves:
            events.hold(conn)
        for one in judged:
            ids = [condition.id for condition in one.conditions]
            if not watermarks.advance(conn, ids, one.before, one.to, one.every_s):
                raise Outrun("The conditions were judged by someone else")
        return record_in(conn, account_id, moves, now, captures=captures)


def record_in(
    conn: Connection,
    account_id: AccountId,
    moves: Sequence[tuple[Condition, Move]],
    now: datetime,
    *,
    captures: Sequence[Capture] = (),
    actor: str = SYSTEM,
) -> Recorded:
    """Append what changed, the oldest first, owe what there is to tell, begin what is to be captured.

    Raises Outrun when a status is not what its first move began with.
    """
    if not moves:
        return Recorded(0, [])
    by_stream: dict[str, list[tuple[Condition, Move]]] = {}
    for condition, move in moves:
        by_stream.setdefault(stream_of(condition.id, move.group), []).append((condition, move))
    known = _known(conn, [(made[0][0].id, made[0][1].group) for made in by_stream.values()])
    for stream, made in by_stream.items():
        if not _is_where(known.get(stream), made[0][1].before):
            raise Outrun("A status was changed by someone else")
    versions = events.versions_of(conn, list(by_stream))
    facts = {stream: [_event(*one, actor) for one in made] for stream, made in by_stream.items()}
    events.append_all(conn, {stream: (versions[stream], new) for stream, new in facts.items()}, now)
    begun = [(one, recordings.start_in(conn, account_id, one.wish, one.lasts, one.note, now)) for one in captures]
    links = {(one.condition_id, one.group): f"{one.base_url}/recordings/{made.id}" for one, made in begun}
    told = []
    for stream, made in by_stream.items():
        for version, (condition, move) in enumerate(made, start=versions[stream] + 1):
            notice = notice_of(condition, move, stream, version, links.get((condition.id, move.group), ""))
            told += [notice] if notice else []
    told.sort(key=lambda notice: notice.at)
    return Recorded(deliveries.owe_in(conn, account_id, told, now), [made for _, made in begun])


def end_all(conn: Connection, condition: Condition, why: str, now: datetime, *, actor: str) -> None:
    """End what a condition says of all its groups; who was told that it fires is told that this is over."""
    rows = conn.execute(select(statuses).where(statuses.c.condition_id == condition.id))
    found = [to_row(row) for row in rows]
    moves = [Move(row.group, row.status, None, end(row.status, why, now), now, why) for row in found]
    record_in(conn, condition.account_id, [(condition, move) for move in moves], now, actor=actor)


def not_ok(engine: Engine, account_id: AccountId) -> dict[UUID, dict[Group, Status]]:
    """By condition the groups that are not ok; those that are missing are ok."""
    found: dict[UUID, dict[Group, Status]] = {}
    theirs = (statuses.c.account_id == account_id) & (statuses.c.state != State.OK.value)
    with reading(engine) as conn:
        for row in conn.execute(select(statuses).where(theirs)):
            one = to_row(row)
            found.setdefault(one.condition_id, {})[one.group] = one.status
    return found


def status_in(conn: Connection, condition_id: UUID, group: Group) -> Status | None:
    """What is recorded of a group, within the caller's transaction."""
    found = _known(conn, [(condition_id, group)]).get(stream_of(condition_id, group))
    return found.status if found else None


def list_for(engine: Engine, account_id: AccountId, *, at_most: int = 5_000) -> list[StatusRow]:
    """An account's statuses that are not ok, the newest first."""
    theirs = (statuses.c.account_id == account_id) & (statuses.c.state != State.OK.value)
    query = select(statuses).where(theirs).order_by(statuses.c.since.desc(), statuses.c.group_sha256).limit(at_most)
    with reading(engine) as conn:
        return [to_row(row) for row in conn.execute(query)]


def of_condition(engine: Engine, account_id: AccountId, condition_id: UUID, *, at_most: int = 1_000) -> list[StatusRow]:
    """All groups of a condition that ever were not ok, the newest change first."""
    theirs = (statuses.c.account_id == account_id) & (statuses.c.condition_id == condition_id)
    query = select(statuses).where(theirs).order_by(statuses.c.since.desc(), statuses.c.group_sha256).limit(at_most)
    with reading(engine) as conn:
        return [to_row(row) for row in conn.execute(query)]


def counts(engine: Engine, account_id: AccountId) -> Mapping[State, int]:
    """How many groups are in each state but ok."""
    theirs = (statuses.c.account_id == account_id) & (statuses.c.state != State.OK.value)
    query = select(statuses.c.state, func.count()).where(theirs).group_by(statuses.c.state)
    with reading(engine) as conn:
        return {State(state): count for state, count in conn.execute(query)}


def people(engine: Engine, found: Sequence[StatusRow]) -> Mapping[str, str]:
    """What to call those who have acknowledged some of these."""
    actors = sorted({row.acknowledged_by for row in found if row.acknowledged_by})
    if not actors:
        return {}
    with reading(engine) as conn:
        return names_of(conn, actors)


def acknowledge(
    engine: Engine,
    account_id: AccountId,
    condition: Condition,
    groups: Iterable[str],
    note: str,
    now: datetime,
    *,
    actor: str,
) -> int:
    """Say that somebody is on it; returns how many statuses that was news for. Raises NotFound.

    groups  the SHA-256 of the groups' labels; of those that neither fire nor have no data, none is acknowledged
    """
    note = " ".join(note.split())[:NOTE_MAX]
    wanted = set(groups)

    def work(conn: Connection) -> int:
        events.hold(conn)
        rows = [row for row in _of(conn, account_id, condition.id) if row.group.sha256 in wanted]
        if not rows:
            raise NotFound("There is no such status in this account")
        changed = 0
        for row in rows:
            is_open = row.status.state in (State.FIRING, State.NO_DATA, State.ERROR)
            if is_open and (row.acknowledged_by, row.acknowledged_note) != (actor, note):
                payload = {"name": condition.name, "labels": dict(row.group.labels), "note": note}
                events.append(conn, row.stream, row.version, [NewEvent("status_acknowledged", payload, actor)], now)
                changed += 1
        return changed

    return events.retrying(engine, work)


def to_row(row: Record[Any]) -> StatusRow:
    """From a row of the table."""
    status = Status(
        State(row.state),
        row.since,
        Severity(row.severity),
        row.value,
        row.message,
        row.reading_at,
        row.pending_since,
        row.quiet_since,
        State(row.told) if row.told else None,
        row.told_since,
    )
    acknowledged = (row.acknowledged_by, row.acknowledged_at, row.acknowledged_note)
    return StatusRow(
        row.condition_id, Group(row.group_sha256, row.labels), row.account_id, status, *acknowledged, row.version
    )


def _of(conn: Connection, account_id: AccountId, condition_id: UUID) -> list[StatusRow]:
    theirs = (statuses.c.account_id == account_id) & (statuses.c.condition_id == condition_id)
    return [to_row(row) for row in conn.execute(select(statuses).where(theirs))]


def _known(conn: Connection, keys: Sequence[tuple[UUID, Group]]) -> dict[str, StatusRow]:
    """By stream, the rows that there are."""
    found: dict[str, StatusRow] = {}
    columns = tuple_(statuses.c.condition_id, statuses.c.group_sha256)
    for start in range(0, len(keys), AT_ONCE):
        some = [(condition_id, group.sha256) for condition_id, group in keys[start : start + AT_ONCE]]
        for row in conn.execute(select(statuses).where(columns.in_(some))):
            one = to_row(row)
            found[one.stream] = one
    return found


def _is_where(row: StatusRow | None, status: Status) -> bool:
    """Whether what was judged began with what is recorded; a group without a row is ok, and nobody was told of it."""
    if row is None:
        return status.state == State.OK and status.told is None
    known = row.status
    return (known.state, known.told, known.pending_since, known.quiet_since) == (
        status.state,
        status.told,
        status.pending_since,
        status.quiet_since,
    )


def _event(condition: Condition, move: Move, actor: str) -> NewEvent:
    about = {"name": condition.name, "labels": dict(move.group.labels)}
    after = move.after
    if after is None:
        return NewEvent("status_ended", about | {"cause": move.cause, "at": move.at.isoformat()}, actor)
    if move.transition is None:
        return NewEvent("status_quieted", about | {"quiet_since": _text(after.quiet_since)}, actor)
    moved = {
        "account_id": str(condition.account_id),
        "from": move.before.state.value,
        "to": after.state.value,
        "at": move.at.isoformat(),
        "value": after.value,
        "message": after.message[:500],
        "severity": after.severity.value,
        "reading_at": _text(after.reading_at),
        "pending_since": _text(after.pending_since),
        "quiet_since": _text(after.quiet_since),
        "told": after.told.value if after.told else "",
        "told_since": _text(after.told_since),
        "condition_version": condition.version,
    }
    return NewEvent("status_moved", about | moved, actor)


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
