"""Hands out what is due to be sent, each to one at a time; `schema/outcomes.py` keeps what came of it.

A claim is a lease: whoever dies with it loses it, and another tries again, with the same message id. What is claimed
together is one message: all that waits in one group for one channel. What was tried together stays together, as long
as all of it is still true; what is left of it after some was replaced gets an id of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, and_, func, or_, select, update

from domain.channels import Kind as ChannelKind
from domain.deliveries import Desk, Kind, Notice, State, hold_of
from domain.errors import NotFound
from domain.ids import AccountId
from domain.webhooks import NOTICES_MAX
from schema import channels
from schema.channels import ChannelRow
from schema.control import tables
from schema.control.engine import reading
from schema.control.tables import attempts, deliveries
from schema.deliveries import TELLING, desk_of, held_fact, notice_of

LEASE = timedelta(seconds=25)
"""Longer than any try takes, with its template, its look-ups and its time-outs: who died in it is waited for."""
MAIL_LEASE = timedelta(seconds=60)
"""A mail server may take its time-out for each word."""
LOOKED_AT = 100
"""Candidates of one claim: so many may have to be passed over."""
AT_ONCE = 4
"""Messages under way to one channel; a slow one holds up only itself."""
ORDER_PAUSE = timedelta(seconds=1)
MAIL_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be tried now, as one message.

    ids           of its deliveries
    recipient     an address that is not the channel's; empty: the channel's own
    tries         how often the message was tried before
    leased_until  till when it is ours
    """

    account_id: AccountId
    channel: ChannelRow
    kind: Kind
    message_id: UUID
    ids: Sequence[UUID]
    notices: Sequence[Notice]
    group: Mapping[str, str]
    group_sha256: str
    recipient: str
    due_at: datetime
    tries: int
    leased_until: datetime


def is_due(engine: Engine, now: datetime) -> bool:
    """Whether there is anything to send."""
    with reading(engine) as conn:
        return conn.scalar(select(deliveries.c.id).where(_due(now)).limit(1)) is not None


def next_due(engine: Engine, before: datetime, now: datetime) -> datetime | None:
    """When the first is due that is before then; None when there is none, or all are under way."""
    with reading(engine) as conn:
        soonest = select(func.min(deliveries.c.next_attempt_at))
        due: datetime | None = conn.scalar(soonest.where(_due_or_waiting(now), deliveries.c.next_attempt_at <= before))
        return due


def claim(engine: Engine, now: datetime, *, mails_per_hour: int) -> Claim | None:
    """The next message to be tried, now ours for a while; None when nothing is due that may be tried just now."""
    with reading(engine) as conn:
        free = or_(deliveries.c.channel_id.is_(None), deliveries.c.channel_id.not_in(_busy(conn, now)))
        oldest = select(deliveries.c.id).where(_due(now), free).order_by(deliveries.c.next_attempt_at)
        candidates = conn.scalars(oldest.limit(LOOKED_AT)).all()
    for delivery_id in candidates:
        with engine.begin() as conn:
            found = _claim(conn, delivery_id, now, mails_per_hour)
        if found is not None:
            return found
    return None


def _claim(conn: Connection, delivery_id: UUID, now: datetime, mails_per_hour: int) -> Claim | None:
    row = conn.execute(select(deliveries).where(deliveries.c.id == delivery_id, _due(now))).mappings().one_or_none()
    if row is None:
        return None
    try:
        channel = channels.one(conn, row["account_id"], row["channel_id"])
    except NotFound:
        _end(conn, delivery_id, "its channel was deleted", now)
        return None
    desk = desk_of(conn, row["account_id"], now)
    if not _may_go(conn, row, channel, desk, now) or not _has_mails_left(conn, row, channel, now, mails_per_hour):
        return None
    return _lease(conn, channel, row, _together(conn, row, channel, desk, now), now)


def _may_go(conn: Connection, row: RowMapping, channel: ChannelRow, desk: Desk, now: datetime) -> bool:
    """Ends or puts off what is not to be told, or not just now."""
    if row["kind"] not in TELLING:
        return True
    if not (channel.is_enabled and channel.is_verified):
        _end(conn, row["id"], f"the channel {channel.name} is off", now)
        return False
    held = hold_of(notice_of(row["facts"]), desk, channel.routed, now)
    if held:
        _put_off(conn, row, *held)
    elif _is_under_way(conn, row, now):
        _put_off(conn, row, now + ORDER_PAUSE, "what came before it is being sent")
        return False
    return held is None


def _has_mails_left(conn: Connection, row: RowMapping, channel: ChannelRow, now: datetime, mails_per_hour: int) -> bool:
    if channel.kind != ChannelKind.EMAIL and not row["recipient"]:
        return True
    free_at = _mail_free_at(conn, row["account_id"], now, mails_per_hour)
    if free_at > now:
        _put_off(conn, row, free_at, f"{mails_per_hour} e-mails were sent within the hour")
    return free_at <= now


def _lease(
    conn: Connection, channel: ChannelRow, row: RowMapping, rows: Sequence[RowMapping], now: datetime
) -> Claim | None:
    by_mail = channel.kind == ChannelKind.EMAIL or bool(row["recipient"])
    message_id, until = _message_id(conn, row), now + (MAIL_LEASE if by_mail else LEASE)
    ids = [one["id"] for one in rows]
    free = and_(deliveries.c.id.in_(ids), _due_or_waiting(now))
    taken = conn.execute(update(deliveries).where(free).values(leased_until=until, message_id=message_id, reason=""))
    if taken.rowcount < len(ids):  # another was faster with some of them
        conn.rollback()
        return None
    return Claim(
        row["account_id"],
        channel,
        Kind(row["kind"]),
        message_id,
        ids,
        [notice_of(one["facts"]) for one in rows],
        row["route"].get("group", {}),
        row["group_sha256"],
        row["recipient"],
        row["due_at"],
        row["attempts"],
        until,
    )


def _together(
    conn: Connection, row: RowMapping, channel: ChannelRow, desk: Desk, now: datetime
) -> Sequence[RowMapping]:
    """What goes out with it: what was tried with it before, or all that waits in its group and was never tried."""
    query = (
        select(deliveries)
        .where(_due_or_waiting(now))
        .order_by(deliveries.c.created_at, deliveries.c.stream_version, deliveries.c.id)
    )
    if row["message_id"] is not None:
        return conn.execute(query.where(deliveries.c.message_id == row["message_id"])).mappings().all()
    if row["kind"] not in TELLING or not row["group_sha256"]:
        return [row]
    group = and_(
        deliveries.c.channel_id == row["channel_id"],
        deliveries.c.group_sha256 == row["group_sha256"],
        deliveries.c.message_id.is_(None),
        or_(deliveries.c.next_attempt_at <= now, deliveries.c.reason == ""),
    )

    def may_go(one: RowMapping) -> bool:
        held = hold_of(notice_of(one["facts"]), desk, channel.routed, now)
        return held is None and not _is_under_way(conn, one, now)

    others = conn.execute(query.where(group, deliveries.c.id != row["id"]).limit(NOTICES_MAX - 1)).mappings().all()
    return sorted([row, *filter(may_go, others)], key=lambda one: (one["created_at"], one["stream_version"], one["id"]))


def _message_id(conn: Connection, row: RowMapping) -> UUID:
    """A new one for what was never tried, or is no longer all of what was."""
    tried: UUID | None = row["message_id"]
    if tried is None:
        return uuid4()
    states = conn.scalars(select(deliveries.c.state).where(deliveries.c.message_id == tried)).all()
    return tried if set(states) == {State.OWED.value} else uuid4()


def _is_under_way(conn: Connection, row: RowMapping, now: datetime) -> bool:
    """Whether something older of the same status is being sent to the same channel: order is kept."""
    other = and_(
        deliveries.c.stream == row["stream"],
        deliveries.c.channel_id == row["channel_id"],
        deliveries.c.id != row["id"],
        deliveries.c.leased_until > now,
    )
    return conn.scalar(select(deliveries.c.id).where(other).limit(1)) is not None


def _busy(conn: Connection, now: datetime) -> Sequence[UUID]:
    """Channels with as much under way as there may be."""
    under_way = func.count(func.distinct(deliveries.c.message_id))
    leased = select(deliveries.c.channel_id).where(
        deliveries.c.leased_until > now, deliveries.c.channel_id.is_not(None)
    )
    return conn.scalars(leased.group_by(deliveries.c.channel_id).having(under_way >= AT_ONCE)).all()


def _mail_free_at(conn: Connection, account_id: AccountId, now: datetime, mails_per_hour: int) -> datetime:
    """When the account may send its next e-mail; `now` when it may."""
    mails = (
        select(attempts.c.at)
        .select_from(attempts.join(deliveries).join(tables.channels, isouter=True))
        .where(deliveries.c.account_id == account_id, attempts.c.at > now - MAIL_WINDOW)
        .where(or_(tables.channels.c.kind == ChannelKind.EMAIL.value, deliveries.c.recipient != ""))
        .group_by(deliveries.c.message_id, attempts.c.at)
        .order_by(attempts.c.at.desc())
        .offset(mails_per_hour - 1)
        .limit(1)
    )
    sent_at: datetime | None = conn.scalar(mails)
    return now if sent_at is None else sent_at + MAIL_WINDOW


def _put_off(conn: Connection, row: RowMapping, until: datetime, reason: str) -> None:
    """The day that a delivery has begins when it may be tried first."""
    later: dict[str, Any] = {"next_attempt_at": until, "reason": reason}
    later |= {"facts": row["facts"] | held} if (held := held_fact(reason, until)) else {}
    later |= {} if row["attempts"] else {"due_at": until}
    conn.execute(update(deliveries).where(deliveries.c.id == row["id"]).values(later))


def _end(conn: Connection, delivery_id: UUID, reason: str, now: datetime) -> None:
    ended = {"state": State.WITHHELD.value, "reason": reason, "ended_at": now, "next_attempt_at": None}
    conn.execute(update(deliveries).where(deliveries.c.id == delivery_id).values(ended))


def _due(now: datetime) -> ColumnElement[bool]:
    return and_(_due_or_waiting(now), deliveries.c.next_attempt_at <= now)


def _due_or_waiting(now: datetime) -> ColumnElement[bool]:
    is_free = or_(deliveries.c.leased_until.is_(None), deliveries.c.leased_until <= now)
    return and_(deliveries.c.state == State.OWED.value, is_free)
