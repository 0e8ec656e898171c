"""The outbox: what is owed to channels, written in the transaction of what it tells of.

Whoever records a transition calls `owe_in` within that transaction; `schema/outbox.py` hands out what is due and keeps
what came of it; `schema/delivery_log.py` shows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from sqlalchemy import Connection, insert, select, update

from domain.deliveries import FLAP_WINDOW, FLAPS, Desk, Kind, Notice, Owed, Past, State, is_held, owed
from domain.ids import AccountId
from schema import channels, routes, silences
from schema.channels import ChannelRow
from schema.control.tables import deliveries

AT_ONCE = 200
TELLING = (Kind.FIRING.value, Kind.RESOLVED.value, Kind.REPEAT.value)
"""Kinds of delivery that tell of a status."""
_COLUMNS = ("id", "channel_id", "stream", "thread", "kind", "state", "reason", "attempts", "leased_until", "route")
_KNOWN = (*_COLUMNS, "group_sha256", "created_at", "ended_at")


@dataclass(slots=True)
class _Known:
    """A delivery about a status, as this transaction sees it."""

    id: UUID
    channel_id: UUID | None
    stream: str
    thread: str
    kind: str
    state: str
    reason: str
    attempts: int
    leased_until: datetime | None
    route: Mapping[str, Any]
    group_sha256: str
    created_at: datetime
    ended_at: datetime | None


def owe_in(conn: Connection, account_id: AccountId, notices: Sequence[Notice], now: datetime) -> int:
    """Owe what these notices are worth telling, within the caller's transaction; returns how many wait to be sent.

    notices  in the order in which they came about; later ones of a status replace what was not sent of it yet
    """
    if not notices:
        return 0
    desk = desk_of(conn, account_id, now)
    known = _known_of(conn, notices, now)
    made: dict[UUID, dict[str, Any]] = {}
    for notice in notices:
        of_status = known.setdefault(notice.stream, [])
        past = _past(notice, of_status, now)
        for one in owed(notice, desk, past, now):
            _replace(conn, made, of_status, notice, one.channel_id, now)
            row = to_row(account_id, notice, one, desk, past.get(one.channel_id) if one.channel_id else None, now)
            made[row["id"]] = row
            of_status.append(_Known(**{name: row[name] for name in _KNOWN}))
    _calm(conn, {notice.stream for notice in notices})
    conn.execute(insert(deliveries), list(made.values()))
    return sum(row["state"] == State.OWED.value for row in made.values())


def desk_of(conn: Connection, account_id: AccountId, now: datetime) -> Desk:
    """All that decides where the account's notices go, within the caller's transaction."""
    ways = [row.routed for row in routes.list_in(conn, account_id)]
    known = {row.id: row.routed for row in channels.list_in(conn, account_id)}
    return Desk(ways, known, silences.open_in(conn, account_id, now))


def to_row(
    account_id: AccountId, notice: Notice, one: Owed, desk: Desk, past: Past | None, now: datetime
) -> dict[str, Any]:
    """A delivery as it is kept. Its facts are all that a message needs."""
    channel = desk.channels.get(one.channel_id) if one.channel_id else None
    changes = past.changes if past and past.changes >= FLAPS else 0
    told = replace(notice, is_meanwhile=one.is_meanwhile, changes=changes)
    is_owed = one.state == State.OWED
    return {
        "id": uuid4(),
        "account_id": account_id,
        "channel_id": one.channel_id,
        "recipient": "",
        "stream": notice.stream,
        "stream_version": notice.version,
        "kind": notice.kind.value,
        "state": one.state.value,
        "reason": one.reason,
        "thread": notice.thread,
        "facts": _facts(told, channel.name if channel else "") | held_fact(one.reason, one.due_at),
        "route": dict(one.route),
        "group_sha256": one.group_sha256,
        "message_id": None,
        "created_at": now,
        "due_at": one.due_at,
        "next_attempt_at": one.due_at if is_owed else None,
        "leased_until": None,
        "attempts": 0,
        "ended_at": None if is_owed else now,
        "repeat_at": None,
    }


def plain_row(channel: ChannelRow, kind: Kind, now: datetime) -> dict[str, Any]:
    """A delivery that tells of no status but of its channel: a test, a question, its end."""
    about = Notice(
        stream=channel.stream,
        version=channel.version,
        kind=kind,
        condition_id=str(channel.id),
        condition="A test" if kind == Kind.TEST else channel.name,
        labels={"channel": channel.name},
        severity="info",
        state="firing",
        summary="Everything works as far as Metrist can tell" if kind == Kind.TEST else "",
        began_at=now,
        at=now,
    )
    return {
        "id": uuid4(),
        "account_id": channel.account_id,
        "channel_id": channel.id,
        "recipient": "",
        "stream": channel.stream,
        "stream_version": channel.version,
        "kind": kind.value,
        "state": State.OWED.value,
        "reason": "",
        "thread": about.thread,
        "facts": _facts(about, channel.name),
        "route": {},
        "group_sha256": "",
        "message_id": None,
        "created_at": now,
        "due_at": now,
        "next_attempt_at": now,
        "leased_until": None,
        "attempts": 0,
        "ended_at": None,
        "repeat_at": None,
    }


def notice_of(facts: Mapping[str, Any]) -> Notice:
    """The notice that a delivery tells."""
    return msgspec.convert({name: value for name, value in facts.items() if name not in ("channel", "held")}, Notice)


def held_fact(reason: str, until: datetime) -> dict[str, str]:
    """What held it back, and till when, for whoever asks later why it came so late; nothing where nothing did."""
    return {"held": f"{reason}, until {until:%Y-%m-%d %H:%M} UTC"} if is_held(reason) else {}


def past_of(conn: Connection, notice: Notice, now: datetime) -> dict[UUID, Past]:
    """By channel, what it knows of the notice's incident; within the caller's transaction."""
    return _past(notice, _known_of(conn, [notice], now).get(notice.stream, []), now)


def _facts(notice: Notice, channel: str) -> dict[str, Any]:
    """`channel` is what it was called then: the log outlives it."""
    return {**msgspec.to_builtins(notice), "channel": channel}


def _known_of(conn: Connection, notices: Iterable[Notice], now: datetime) -> dict[str, list[_Known]]:
    """By status, what channels were told lately, or of the same incident, the oldest first."""
    found: dict[str, list[_Known]] = {}
    threads = {notice.stream: notice.thread for notice in notices}
    streams = list(threads)
    columns = [deliveries.c[name] for name in _KNOWN]
    for start in range(0, len(streams), AT_ONCE):
        some = streams[start : start + AT_ONCE]
        is_ours = deliveries.c.stream.in_(some) & deliveries.c.kind.in_(TELLING)
        lately = (deliveries.c.created_at > now - FLAP_WINDOW) | deliveries.c.thread.in_([threads[one] for one in some])
        waiting = deliveries.c.state == State.OWED.value
        query = (
            select(*columns)
            .where(is_ours, lately | waiting)
            .order_by(deliveries.c.created_at, deliveries.c.stream_version, deliveries.c.id)
        )
        for row in conn.execute(query).mappings():
            found.setdefault(row["stream"], []).append(_Known(**row))
    return found


def _past(notice: Notice, known: Sequence[_Known], now: datetime) -> dict[UUID, Past]:
    by_channel: dict[UUID, list[_Known]] = {}
    for row in known:
        if row.channel_id is not None:
            by_channel.setdefault(row.channel_id, []).append(row)
    return {channel_id: _past_of(notice.thread, rows, now) for channel_id, rows in by_channel.items()}


def _past_of(thread: str, rows: Sequence[_Known], now: datetime) -> Past:
    """Of one channel; what others know of the status does not matter to it."""
    mine = [row for row in rows if row.thread == thread]
    fires = [row for row in mine if row.kind != Kind.RESOLVED and row.route]
    waiting = [row for row in mine if row.state == State.OWED]
    counted = [row for row in rows if row.created_at > now - FLAP_WINDOW and row.kind != Kind.REPEAT]
    held = (not row.attempts and not _is_leased(row, now) and is_held(row.reason) for row in waiting)
    return Past(
        was_told=any(row.state == State.SENT and row.kind != Kind.RESOLVED for row in mine),
        is_owed=bool(waiting),
        is_held=bool(waiting) and all(held),
        route=fires[-1].route if fires else {},
        group_sha256=fires[-1].group_sha256 if fires else "",
        changes=sum(row.state != State.WITHHELD for row in counted),
        last_at=max((row.ended_at for row in rows if row.state == State.SENT and row.ended_at), default=None),
    )


def _is_leased(row: _Known, now: datetime) -> bool:
    return row.leased_until is not None and row.leased_until > now


def _replace(
    conn: Connection,
    made: dict[UUID, dict[str, Any]],
    known: Sequence[_Known],
    notice: Notice,
    channel_id: UUID | None,
    now: datetime,
) -> None:
    """What waits to be sent of this status to the channel is out of date."""
    reason = "it was over before it could be sent" if notice.kind == Kind.RESOLVED else "news came before it was sent"
    ended = {"state": State.SUPERSEDED.value, "reason": reason, "ended_at": now, "next_attempt_at": None}
    stale = [row for row in known if row.state == State.OWED and row.channel_id == channel_id]
    for row in stale:
        row.state = State.SUPERSEDED.value
        if row.id in made:
            made[row.id] |= ended
    kept = [row.id for row in stale if row.id not in made]
    if kept:
        conn.execute(update(deliveries).where(deliveries.c.id.in_(kept)).values(ended))


def _calm(conn: Connection, streams: set[str]) -> None:
    """What was told of these statuses is not to be repeated: what follows is told, or they are over."""
    listed = sorted(streams)
    for start in range(0, len(listed), AT_ONCE):
        some = deliveries.c.stream.in_(listed[start : start + AT_ONCE])
        conn.execute(update(deliveries).where(some, deliveries.c.repeat_at.is_not(None)).values(repeat_at=None))
