"""The log of the control plane: append facts, fold them into state in the same transaction, read them back."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    and_,
    bindparam,
    delete,
    func,
    insert,
    not_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy import Row as Record

from domain.errors import Conflict, InvalidBody
from domain.events import Event, NewEvent, Row, fold_all, key_of, kind_of
from domain.ids import AccountId
from schema.control.tables import STATES, events

T = TypeVar("T")
LOCK = 7_106_771_002
"""PostgreSQL advisory lock of whoever appends; SQLite's BEGIN IMMEDIATE is one already."""
TRIES = 8
AT_ONCE = 200
"""Streams in one question; SQLite takes a bounded number of parameters."""


def append(conn: Connection, stream: str, expected_version: int, new: Sequence[NewEvent], now: datetime) -> int:
    """Record facts of one stream and write the row they fold to; returns the stream's new version.

    expected_version  what the caller has read and decided on; 0 for a stream that does not exist yet
    Raises Conflict when someone else has written since: the whole transaction must be given up, see `retrying`.
    """
    hold(conn)
    if version_of(conn, stream) != expected_version:
        raise Conflict(f"The {kind_of(stream)} was changed by someone else at the same time")
    if not new:
        return expected_version
    row = _read_row(conn, stream)
    recorded = [_record(stream, expected_version + n, event, now) for n, event in enumerate(new, start=1)]
    folded = fold_all(row, recorded)
    conn.execute(insert(events), [_values(event, _account_of(stream, folded or row)) for event in recorded])
    _write_row(conn, stream, row, folded)
    return expected_version + len(recorded)


def open_streams(conn: Connection, first: Mapping[str, NewEvent], now: datetime) -> None:
    """Record the first fact of many new streams of one kind, and the rows they fold to, in two statements.

    Raises Conflict when one of the streams, or its row, is there already: the transaction must be given up.
    """
    hold(conn)
    recorded = [_record(stream, 1, event, now) for stream, event in first.items()]
    rows = [fold_all(None, [event]) for event in recorded]
    pairs = zip(recorded, rows, strict=True)
    conn.execute(insert(events), [_values(event, _account_of(event.stream, row)) for event, row in pairs])
    conn.execute(insert(STATES[kind_of(recorded[0].stream)]), [dict(row) for row in rows if row is not None])


def append_all(conn: Connection, new: Mapping[str, tuple[int, Sequence[NewEvent]]], now: datetime) -> dict[str, int]:
    """As `append` for many streams of one kind, in a few statements however many they are.

    new  stream → the version that the caller has decided on, and its facts; returns stream → its new version
    """
    hold(conn)
    rows: dict[str, Row | None] = {}
    streams = list(new)
    for start in range(0, len(streams), AT_ONCE):
        some = streams[start : start + AT_ONCE]
        if versions_of(conn, some) != {stream: new[stream][0] for stream in some}:
            raise Conflict(f"A {kind_of(some[0])} was changed by someone else at the same time")
        rows |= _read_rows(conn, some)
    recorded = {
        stream: [_record(stream, version + n, event, now) for n, event in enumerate(facts, start=1)]
        for stream, (version, facts) in new.items()
    }
    folded = {stream: fold_all(rows[stream], facts) for stream, facts in recorded.items()}
    theirs = {
        stream: _account_of(stream, rows[stream] or fold_all(None, facts[:1])) for stream, facts in recorded.items()
    }
    written = [_values(event, theirs[stream]) for stream, facts in recorded.items() for event in facts]
    if written:
        conn.execute(insert(events), written)
        _write_rows(conn, {stream: (rows[stream], folded[stream]) for stream in streams if recorded[stream]})
    return {stream: version + len(facts) for stream, (version, facts) in new.items()}


def hold(conn: Connection) -> None:
    """Let no one else append until this transaction ends, so that what it reads stays true.

    One writer at a time also makes the order of `seq` the order of commits: who has read up to n has missed nothing
    below it. The price on PostgreSQL, and why it is paid: docs/adr/0003-control-db.md.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def forget(conn: Connection, account_id: AccountId, *, but_last_of: str) -> None:
    """Erase an account's history, all but the last event of one stream; its state rows must be gone by then.

    This is the one place where the log loses something. What it loses are whole streams, or all of one before the
    event that ends it, so that the rest still folds to the same state.
    """
    if conn.dialect.name == "postgresql":
        conn.execute(text("SET LOCAL statement_timeout = 0"))  # a large fleet's history takes its time
    theirs = events.c.account_id == account_id
    last = and_(events.c.stream == but_last_of, events.c.version == version_of(conn, but_last_of))
    conn.execute(delete(events).where(theirs, not_(last)))


def version_of(conn: Connection, stream: str) -> int:
    """How many events the stream has; 0 for one that does not exist."""
    return conn.scalar(select(func.max(events.c.version)).where(events.c.stream == stream)) or 0


def versions_of(conn: Connection, streams: Sequence[str]) -> dict[str, int]:
    """By stream, 0 for one that does not exist."""
    last = select(events.c.stream, func.max(events.c.version)).where(events.c.stream.in_(streams))
    found = dict(conn.execute(last.group_by(events.c.stream)).all())
    return {stream: found.get(stream, 0) for stream in streams}


def read(conn: Connection, stream: str) -> list[Event]:
    """The whole history of one stream, oldest first."""
    found = conn.execute(select(events).where(events.c.stream == stream).order_by(events.c.version))
    return [to_event(record) for record in found]


def after(conn: Connection, seq: int, limit: int) -> list[Event]:
    """The next events of the whole log, for whoever follows it: begin with 0, go on from the last one's seq."""
    found = conn.execute(select(events).where(events.c.seq > seq).order_by(events.c.seq).limit(limit))
    return [to_event(record) for record in found]


def retrying(engine: Engine, work: Callable[[Connection], T]) -> T:
    """Run `work` in a transaction; again from the start, after a short random wait, each time it loses a race.

    `work` reads what it decides on through its connection. Raises Conflict when it has lost TRIES times.
    """
    for attempt in range(TRIES - 1):
        try:
            return _once(engine, work)
        except Conflict:
            time.sleep(random.uniform(0, 0.005 * 2**attempt))  # noqa: S311
    return _once(engine, work)


def to_event(record: Record[Any]) -> Event:
    """A row of the events table as an Event."""
    return Event(
        stream=record.stream,
        version=record.version,
        type=record.type,
        payload=record.payload,
        actor=record.actor,
        at=record.at,
        seq=record.seq,
        account_id=record.account_id,
    )


def identity(stream: str) -> tuple[Table, dict[str, Any]]:
    """The state table of a stream and the primary key of its row."""
    table = STATES[kind_of(stream)]
    columns = table.primary_key.columns
    parts = zip(columns, key_of(stream), strict=True)
    return table, {column.name: UUID(part) if column.type.python_type is UUID else part for column, part in parts}


def _once(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as conn:
        return work(conn)


def _record(stream: str, version: int, event: NewEvent, now: datetime) -> Event:
    if _holds_nul(event.payload):
        raise InvalidBody("Text may not hold the character U+0000")
    return Event(stream, version, event.type, event.payload, event.actor, now)


def _holds_nul(value: Any) -> bool:
    """PostgreSQL stores no U+0000 and SQLite does: refuse it on both."""
    match value:
        case str():
            return "\x00" in value
        case dict():
            return any(_holds_nul(part) for item in value.items() for part in item)
        case list() | tuple():
            return any(_holds_nul(part) for part in value)
        case _:
            return False


def _account_of(stream: str, row: Row | None) -> AccountId | None:
    """Whose event it is: an account's own, or that of the account that its row names."""
    if stream.startswith("account/"):
        return AccountId(UUID(key_of(stream)[0]))
    return row.get("account_id") if row else None


def _values(event: Event, account_id: AccountId | None) -> dict[str, Any]:
    return {
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "account_id": account_id,
        "payload": event.payload,
        "actor": event.actor,
        "at": event.at,
    }


def _read_row(conn: Connection, stream: str) -> Row | None:
    table, key = identity(stream)
    found = conn.execute(select(table).where(_is(table, key))).mappings().one_or_none()
    return dict(found) if found else None


def _write_row(conn: Connection, stream: str, before: Row | None, row: Row | None) -> None:
    table, key = identity(stream)
    if row is None:
        conn.execute(delete(table).where(_is(table, key)))
    elif before is None:
        conn.execute(insert(table).values(**row))
    else:
        conn.execute(update(table).where(_is(table, key)).values(**row))


def _read_rows(conn: Connection, streams: Sequence[str]) -> dict[str, Row | None]:
    """The rows of streams of one kind; None for those that have none."""
    table, _ = identity(streams[0])
    keys = [tuple(identity(stream)[1].values()) for stream in streams]
    columns = list(table.primary_key.columns)
    found = conn.execute(select(table).where(tuple_(*columns).in_(keys))).mappings()
    by_key = {tuple(row[column.name] for column in columns): dict(row) for row in found}
    return {stream: by_key.get(key) for stream, key in zip(streams, keys, strict=True)}


def _write_rows(conn: Connection, changes: Mapping[str, tuple[Row | None, Row | None]]) -> None:
    """Rows before and after, of streams of one kind."""
    table, _ = identity(next(iter(changes)))
    names = [column.name for column in table.primary_key.columns]
    is_it = and_(*(table.c[name] == bindparam(f"key_{name}") for name in names))
    gone = [before for before, after in changes.values() if before and not after]
    made = [dict(after) for before, after in changes.values() if after and not before]
    kept = [after for before, after in changes.values() if before and after]
    if gone:
        conn.execute(delete(table).where(is_it), [{f"key_{name}": row[name] for name in names} for row in gone])
    if made:
        conn.execute(insert(table), made)
    if kept:
        values: dict[str, Any] = {name: bindparam(f"to_{name}") for name in kept[0]}
        rows = [{f"to_{name}": value for name, value in row.items()} for row in kept]
        for row in rows:
            row.update({f"key_{name}": row[f"to_{name}"] for name in names})
        conn.execute(update(table).where(is_it).values(values), rows)


def _is(table: Table, key: dict[str, Any]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == value for name, value in key.items()))
