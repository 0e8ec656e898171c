"""How far each condition has been judged, and when it can be judged further.

Not events: they move with every look. Whoever moves one says from where, so of two who have judged the same instants
one records what they gave, and the other nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from domain import ticks
from domain.condition_specs import spec_of
from domain.ids import AccountId
from schema.control.engine import reading
from schema.control.tables import conditions, watermarks

AT_ONCE = 500


def begin(conn: Connection, account_id: AccountId, condition_id: UUID, every_s: int, now: datetime) -> None:
    """Judge it from now on."""
    evaluated_to = ticks.floor(now, every_s)
    marks = {"evaluated_to": evaluated_to, "due_at": ticks.due_at(evaluated_to, every_s)}
    conn.execute(insert(watermarks).values(condition_id=condition_id, account_id=account_id, **marks))


def end(conn: Connection, condition_id: UUID) -> None:
    """Judge it no longer."""
    conn.execute(delete(watermarks).where(watermarks.c.condition_id == condition_id))


def advance(conn: Connection, ids: Sequence[UUID], before: datetime, to: datetime, every_s: int) -> bool:
    """Note that conditions have been judged from `before` up to `to`; False when that holds for one of them no more."""
    moved = 0
    for start in range(0, len(ids), AT_ONCE):
        some = watermarks.c.condition_id.in_(ids[start : start + AT_ONCE])
        found = update(watermarks).where(some, watermarks.c.evaluated_to == before)
        moved += conn.execute(found.values(evaluated_to=to, due_at=ticks.due_at(to, every_s))).rowcount
    return moved == len(ids)


def accounts_due(engine: Engine, now: datetime) -> list[AccountId]:
    """Whose conditions there are to judge."""
    query = select(watermarks.c.account_id).where(watermarks.c.due_at <= now).distinct()
    with reading(engine) as conn:
        return [AccountId(account_id) for account_id in conn.scalars(query)]


def due(engine: Engine, account_id: AccountId, now: datetime) -> dict[UUID, datetime]:
    """An account's conditions that can be judged now, and up to which instant each has been."""
    query = select(watermarks.c.condition_id, watermarks.c.evaluated_to)
    theirs = (watermarks.c.account_id == account_id) & (watermarks.c.due_at <= now)
    with reading(engine) as conn:
        return dict(conn.execute(query.where(theirs)).all())


def adopt(engine: Engine, now: datetime) -> int:
    """Begin with the conditions that are on and have none, as after the log was folded anew; returns how many."""
    query = select(conditions.c.id, conditions.c.account_id, conditions.c.spec).outerjoin(watermarks)
    with engine.begin() as conn:
        found: Sequence[Any] = conn.execute(
            query.where(conditions.c.is_enabled, watermarks.c.condition_id.is_(None))
        ).all()
        for row in found:
            begin(conn, row.account_id, row.id, spec_of(row.spec).every_s, now)
    return len(found)


def lag_s(engine: Engine, now: datetime) -> float:
    """For how long the condition that waits longest could have been judged, seconds."""
    with reading(engine) as conn:
        oldest: datetime | None = conn.scalar(select(func.min(watermarks.c.due_at)))
    return max(0.0, (now - oldest).total_seconds()) if oldest else 0.0
