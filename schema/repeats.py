"""What was told long ago and is still so is told again, as its route says."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, insert, select, update

from domain.deliveries import Kind, repeated
from schema import events
from schema.control.engine import reading
from schema.control.tables import deliveries, statuses
from schema.deliveries import desk_of, notice_of, past_of, to_row


def are_due(engine: Engine, now: datetime) -> bool:
    """Whether there is anything to tell again."""
    with reading(engine) as conn:
        return conn.scalar(select(deliveries.c.id).where(_due(now)).limit(1)) is not None


def owe_due(engine: Engine, now: datetime, *, at_most: int = 500) -> int:
    """Owe again what was told long ago and is still so, unless somebody said that they are on it."""
    with reading(engine) as conn:
        found = conn.scalars(select(deliveries.c.id).where(_due(now)).limit(at_most)).all()
    if not found:
        return 0

    def work(conn: Connection) -> int:
        events.hold(conn)
        due = and_(deliveries.c.id.in_(found), _due(now))
        rows = conn.execute(select(deliveries).where(due)).mappings().all()
        conn.execute(update(deliveries).where(due).values(repeat_at=None))
        made = [row for row in (_repeat(conn, row, now) for row in rows) if row is not None]
        if made:
            conn.execute(insert(deliveries), made)
        return len(made)

    return events.retrying(engine, work)


def _repeat(conn: Connection, row: RowMapping, now: datetime) -> dict[str, Any] | None:
    told = notice_of(row["facts"])
    current = _status(conn, told.stream)
    if current is None or not current["told"] or current["told_since"] != told.began_at or current["acknowledged_by"]:
        return None
    desk = desk_of(conn, row["account_id"], now)
    channel = desk.channels.get(row["channel_id"])
    if channel is None:
        return None
    notice = replace(
        told,
        kind=Kind.REPEAT,
        state=current["told"],
        severity=current["severity"],
        summary=current["message"] or told.summary,
        value=current["value"],
        at=now,
    )
    past = past_of(conn, notice, now).get(channel.id)
    if past is None or past.is_owed:
        return None
    return to_row(row["account_id"], notice, repeated(notice, channel, past, desk, now), desk, past, now)


def _status(conn: Connection, stream: str) -> RowMapping | None:
    _, condition_id, group_sha256 = stream.split("/")
    this = (statuses.c.condition_id == UUID(condition_id)) & (statuses.c.group_sha256 == group_sha256)
    return conn.execute(select(statuses).where(this)).mappings().one_or_none()


def _due(now: datetime) -> ColumnElement[bool]:
    return deliveries.c.repeat_at <= now
