"""Silences and maintenance windows of an account; each change an event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, func, or_, select, update

from domain import silences as rules
from domain.deliveries import SILENCED, State
from domain.errors import LimitReached, NotFound
from domain.events import NewEvent
from domain.ids import AccountId
from domain.silences import Silence
from domain.windows import Weekly, as_json, weekly_of
from schema import events
from schema.control.engine import reading
from schema.control.tables import deliveries, silences

MOST = 500
"""Silences of an account that are not over."""
PAST_SHOWN = 50


@dataclass(frozen=True, slots=True)
class SilenceRow:
    """One silence as it is now."""

    silence: Silence
    account_id: AccountId
    created_by: str
    created_at: datetime
    version: int

    @property
    def id(self) -> UUID:
        return self.silence.id

    @property
    def stream(self) -> str:
        return f"silence/{self.silence.id}"


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants to be silent; `ends_at` None is for a weekly one."""

    match: Sequence[str]
    starts_at: datetime
    ends_at: datetime | None
    weekly: Weekly | None = None
    note: str = ""


def create(engine: Engine, account_id: AccountId, draft: Draft, now: datetime, *, actor: str) -> SilenceRow:
    """A new one. Raises InvalidBody, InvalidQuery, LimitReached."""
    silence_id = uuid4()
    _check(draft, now)

    def work(conn: Connection) -> SilenceRow:
        events.hold(conn)
        if (conn.scalar(select(func.count()).select_from(silences).where(_open(account_id, now))) or 0) >= MOST:
            raise LimitReached(f"The account has {MOST} silences; end one that is no longer needed")
        payload = {"account_id": str(account_id), **_payload(draft)}
        events.append(conn, f"silence/{silence_id}", 0, [NewEvent("silence_created", payload, actor)], now)
        return _one(conn, account_id, silence_id)

    return events.retrying(engine, work)


def change(
    engine: Engine, account_id: AccountId, silence_id: UUID, draft: Draft, now: datetime, *, actor: str
) -> SilenceRow:
    """Other matchers or times. Raises InvalidBody, InvalidQuery, NotFound."""
    _check(draft, now)

    def work(conn: Connection) -> SilenceRow:
        events.hold(conn)
        found = _one(conn, account_id, silence_id)
        changed = NewEvent("silence_changed", _payload(draft), actor)
        events.append(conn, found.stream, found.version, [changed], now)
        _hurry(conn, account_id, now)
        return _one(conn, account_id, silence_id)

    return events.retrying(engine, work)


def end(engine: Engine, account_id: AccountId, silence_id: UUID, now: datetime, *, actor: str) -> None:
    """End it now; what it held is told unless something else holds it. One that is over stays so. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = _one(conn, account_id, silence_id)
        if not found.silence.is_over(now):
            ended = NewEvent("silence_ended", {"note": found.silence.note}, actor)
            events.append(conn, found.stream, found.version, [ended], now)
            _hurry(conn, account_id, now)

    events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, silence_id: UUID) -> SilenceRow:
    """The account's silence with this id. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, silence_id)


def list_open(engine: Engine, account_id: AccountId, now: datetime) -> list[SilenceRow]:
    """Those that hold something now, or will, the next to begin first."""
    query = select(silences).where(_open(account_id, now)).order_by(silences.c.starts_at, silences.c.id)
    with reading(engine) as conn:
        return [_row(row) for row in conn.execute(query).mappings()]


def list_past(engine: Engine, account_id: AccountId, now: datetime) -> list[SilenceRow]:
    """Those that are over, the last first, a bounded number."""
    over = (silences.c.account_id == account_id) & (silences.c.ends_at <= now)
    query = select(silences).where(over).order_by(silences.c.ends_at.desc(), silences.c.id).limit(PAST_SHOWN)
    with reading(engine) as conn:
        return [_row(row) for row in conn.execute(query).mappings()]


def open_in(conn: Connection, account_id: AccountId, now: datetime) -> list[Silence]:
    """As `list_open`, within the caller's transaction."""
    return [_row(row).silence for row in conn.execute(select(silences).where(_open(account_id, now))).mappings()]


def _open(account_id: AccountId, now: datetime) -> Any:
    return (silences.c.account_id == account_id) & or_(silences.c.ends_at.is_(None), silences.c.ends_at > now)


def _hurry(conn: Connection, account_id: AccountId, now: datetime) -> None:
    """What waits for a silence is looked at anew."""
    waiting = (deliveries.c.account_id == account_id) & (deliveries.c.state == State.OWED.value)
    held = deliveries.c.reason.startswith(SILENCED) & (deliveries.c.next_attempt_at > now)
    conn.execute(update(deliveries).where(waiting, held).values(next_attempt_at=now, due_at=now))


def _check(draft: Draft, now: datetime) -> None:
    assert rules.matchers(tuple(draft.match)) is not None
    rules.check_times(draft.starts_at, draft.ends_at, draft.weekly, now)


def _payload(draft: Draft) -> dict[str, Any]:
    return {
        "match": list(draft.match),
        "starts_at": draft.starts_at.isoformat(),
        "ends_at": draft.ends_at.isoformat() if draft.ends_at else None,
        "recurrence": as_json(draft.weekly) if draft.weekly else {},
        "note": rules.clean_note(draft.note),
    }


def _one(conn: Connection, account_id: AccountId, silence_id: UUID) -> SilenceRow:
    theirs = (silences.c.account_id == account_id) & (silences.c.id == silence_id)
    found = conn.execute(select(silences).where(theirs)).mappings().one_or_none()
    if found is None:
        raise NotFound("There is no such silence in this account")
    return _row(found)


def _row(row: Any) -> SilenceRow:
    weekly = weekly_of(row["recurrence"]) if row["recurrence"] else None
    silence = Silence(row["id"], tuple(row["match"]), row["starts_at"], row["ends_at"], weekly, row["note"])
    return SilenceRow(silence, row["account_id"], row["created_by"], row["created_at"], row["version"])
