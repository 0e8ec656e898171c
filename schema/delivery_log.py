"""The log of deliveries: what was sent, or not and why, with every try; and what people may ask for again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, RowMapping, and_, delete, func, insert, select, update

from domain.deliveries import Kind, Notice, State
from domain.errors import InvalidBody, LimitReached, NotFound
from domain.ids import AccountId
from schema import channels, events
from schema.channels import ChannelRow
from schema.control.engine import reading
from schema.control.tables import attempts, deliveries
from schema.deliveries import notice_of, plain_row

PAGE = 50
KEPT = timedelta(days=90)
"""Deliveries that have ended are forgotten after so long."""
TESTS_AN_HOUR = 30
QUESTIONS_A_DAY = 20
"""Of an account: nobody is to be bothered with questions by it."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A delivery as the log shows it; `code` and `latency_ms` are of the last try, `held` is what held it back."""

    id: UUID
    channel_id: UUID | None
    channel: str
    recipient: str
    kind: Kind
    state: State
    reason: str
    held: str
    notice: Notice
    message_id: UUID | None
    created_at: datetime
    next_attempt_at: datetime | None
    leased_until: datetime | None
    attempts: int
    ended_at: datetime | None
    code: int | None
    latency_ms: int | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try."""

    at: datetime
    code: int | None
    latency_ms: int
    error: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the log somebody wants to see; None is all."""

    state: State | None = None
    channel_id: UUID | None = None
    stream: str | None = None


def list_for(engine: Engine, account_id: AccountId, wanted: Wanted, page: int = 1) -> tuple[list[Entry], bool]:
    """A page of the log, the newest first, and whether there is another."""
    newest = (deliveries.c.created_at.desc(), deliveries.c.stream_version.desc(), deliveries.c.id)
    query = _entries(account_id).where(*_asked(wanted)).order_by(*newest)
    with reading(engine) as conn:
        found = conn.execute(query.limit(PAGE + 1).offset((page - 1) * PAGE)).mappings().all()
    return [_entry(row) for row in found[:PAGE]], len(found) > PAGE


def find(engine: Engine, account_id: AccountId, delivery_id: UUID) -> tuple[Entry, list[Attempt]]:
    """One delivery with all its tries, the first first. Raises NotFound."""
    tries = select(attempts).where(attempts.c.delivery_id == delivery_id).order_by(attempts.c.id)
    with reading(engine) as conn:
        row = conn.execute(_entries(account_id).where(deliveries.c.id == delivery_id)).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such delivery in this account")
        found = conn.execute(tries)
        return _entry(row), [Attempt(one.at, one.code, one.latency_ms, one.error) for one in found]


def counts(engine: Engine, account_id: AccountId) -> dict[State, int]:
    """How many deliveries of the account are in each state."""
    query = select(deliveries.c.state, func.count()).where(deliveries.c.account_id == account_id)
    with reading(engine) as conn:
        return {State(state): count for state, count in conn.execute(query.group_by(deliveries.c.state))}


def send_again(engine: Engine, account_id: AccountId, delivery_id: UUID, now: datetime) -> UUID:
    """Owe the same once more, at somebody's word, with a day of its own. Raises NotFound, InvalidBody."""

    def work(conn: Connection) -> UUID:
        events.hold(conn)
        theirs = (deliveries.c.account_id == account_id) & (deliveries.c.id == delivery_id)
        row = conn.execute(select(deliveries).where(theirs)).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such delivery in this account")
        channel = _to_tell(conn, row)
        if row["state"] == State.OWED:
            soon = {"next_attempt_at": now, "reason": ""}
            conn.execute(update(deliveries).where(theirs).values(soon))
            return delivery_id
        fresh = {"id": uuid4(), "channel_id": channel.id, "state": State.OWED.value, "reason": "", "message_id": None}
        times = {"created_at": now, "due_at": now, "next_attempt_at": now, "ended_at": None, "repeat_at": None}
        row_again = {**row, **fresh, **times, "attempts": 0, "leased_until": None}
        conn.execute(insert(deliveries).values(row_again))
        made: UUID = row_again["id"]
        return made

    return events.retrying(engine, work)


def test(engine: Engine, account_id: AccountId, channel_id: UUID, now: datetime) -> UUID:
    """Owe a channel a test; returns the delivery's id. Raises NotFound, InvalidBody, LimitReached."""

    def work(conn: Connection) -> UUID:
        events.hold(conn)
        channel = channels.one(conn, account_id, channel_id)
        if not channel.is_verified:
            raise InvalidBody("The address has to be confirmed before anything is sent there")
        _at_most(conn, account_id, Kind.TEST, now - timedelta(hours=1), TESTS_AN_HOUR, "tests within an hour")
        return _owe(conn, plain_row(channel, Kind.TEST, now))

    return events.retrying(engine, work)


def ask(engine: Engine, account_id: AccountId, channel_id: UUID, now: datetime) -> UUID:
    """Owe an address the question whether it wants to be told. Raises NotFound, InvalidBody, LimitReached."""

    def work(conn: Connection) -> UUID:
        events.hold(conn)
        channel = channels.one(conn, account_id, channel_id)
        if channel.is_verified:
            raise InvalidBody("This channel needs no confirmation")
        _at_most(conn, account_id, Kind.VERIFY, now - timedelta(days=1), QUESTIONS_A_DAY, "such e-mails within a day")
        return _owe(conn, plain_row(channel, Kind.VERIFY, now))

    return events.retrying(engine, work)


def purge(engine: Engine, now: datetime, *, at_most: int = 50_000) -> int:
    """Forget deliveries that ended long ago, with their tries; returns how many."""
    old = and_(deliveries.c.ended_at <= now - KEPT, deliveries.c.repeat_at.is_(None))
    some = select(deliveries.c.id).where(old).limit(at_most)
    with engine.begin() as conn:
        return conn.execute(delete(deliveries).where(deliveries.c.id.in_(some))).rowcount


def _to_tell(conn: Connection, row: RowMapping) -> ChannelRow:
    if row["channel_id"] is None:
        raise InvalidBody("There is no channel to send it to; it was deleted, or there was none")
    channel = channels.one(conn, row["account_id"], row["channel_id"])
    if not (channel.is_enabled and channel.is_verified):
        raise InvalidBody(f"Turn the channel {channel.name} on first, and have its address confirmed")
    return channel


def _owe(conn: Connection, row: dict[str, Any]) -> UUID:
    conn.execute(insert(deliveries).values(row))
    made: UUID = row["id"]
    return made


def _at_most(conn: Connection, account_id: AccountId, kind: Kind, since: datetime, most: int, what: str) -> None:
    theirs = (deliveries.c.account_id == account_id) & (deliveries.c.kind == kind.value)
    query = select(func.count()).select_from(deliveries).where(theirs, deliveries.c.created_at > since)
    if (conn.scalar(query) or 0) >= most:
        raise LimitReached(f"There were {most} {what}; try again later")


def _asked(wanted: Wanted) -> Sequence[Any]:
    found = []
    if wanted.state is not None:
        found.append(deliveries.c.state == wanted.state.value)
    if wanted.channel_id is not None:
        found.append(deliveries.c.channel_id == wanted.channel_id)
    if wanted.stream is not None:
        found.append(deliveries.c.stream == wanted.stream)
    return found


def _entries(account_id: AccountId) -> Any:
    """With the code and the latency of the last try."""
    last = attempts.alias("last")
    newest = select(func.max(attempts.c.id)).where(attempts.c.delivery_id == deliveries.c.id).scalar_subquery()
    joined = deliveries.outerjoin(last, last.c.id == newest)
    columns = select(deliveries, last.c.code, last.c.latency_ms).select_from(joined)
    return columns.where(deliveries.c.account_id == account_id)


def _entry(row: RowMapping) -> Entry:
    names = ("id", "channel_id", "recipient", "reason", "message_id", "created_at", "next_attempt_at", "leased_until")
    more = ("attempts", "ended_at", "code", "latency_ms")
    return Entry(
        channel=row["facts"]["channel"],
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        held=row["facts"].get("held", ""),
        notice=notice_of(row["facts"]),
        **{name: row[name] for name in (*names, *more)},
    )
