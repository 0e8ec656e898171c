"""The control DB as one SQLite file, whichever database it is in, and such a file put into either.

A SQLite control DB is copied page by page as of one moment. A PostgreSQL one is read row by row in one snapshot, into a
SQLite file that the migrations have built: both then have the tables of `tables.py`, whose types translate.
"""

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Table, func, insert, inspect, select, text

from domain.errors import StartRefused
from schema.control import migrate
from schema.control.engine import open_control
from schema.control.tables import attempts, events, metadata

AT_ONCE = 1_000
_ONE_FILE = "PRAGMA journal_mode = DELETE"
"""Without a log beside it."""
_COUNTED = (events, attempts)
"""Tables whose keys the database counts up: it must go on behind what was copied."""


class Pinned:
    """A control DB as it was when it was pinned; others write on."""

    def __init__(self, source: sqlite3.Connection | Connection) -> None:
        self._source = source

    def write(self, file: Path) -> None:
        """Write it as a SQLite file that is not there yet."""
        if isinstance(self._source, sqlite3.Connection):
            with closing(sqlite3.connect(file)) as target:
                self._source.backup(target)
                target.execute(_ONE_FILE)
        else:
            _write_rows(self._source, file)


@contextlib.contextmanager
def pinned(engine: Engine) -> Iterator[Pinned]:
    """Hold on to the control DB as it is now; one in PostgreSQL must have this release's tables."""
    with contextlib.ExitStack() as held:
        pin = _pin_sqlite if engine.dialect.name == "sqlite" else _pin_postgres
        yield Pinned(pin(engine, held))


def is_empty(engine: Engine) -> bool:
    """Whether there is no table."""
    with engine.connect() as conn:
        return not inspect(conn).get_table_names()


def is_sound(file: Path) -> bool:
    """Whether SQLite finds its file whole."""
    with closing(sqlite3.connect(_read_only(file), uri=True)) as opened:
        try:
            return bool(opened.execute("PRAGMA integrity_check").fetchone() == ("ok",))
        except sqlite3.DatabaseError:
            return False


def fill(engine: Engine, file: Path) -> None:
    """Put a copy, migrated to this release's tables, into an empty PostgreSQL."""
    if not is_empty(engine):
        raise StartRefused("The control database is not empty")
    migrate.upgrade(engine)
    source = open_control(f"sqlite:///{file}")
    try:
        with source.connect() as reads, engine.begin() as writes:
            _take_time(writes)
            _copy_rows(reads, writes)
            for table in _COUNTED:
                _count_on(writes, table, _counted(reads, table))
    finally:
        source.dispose()


def _pin_sqlite(engine: Engine, held: contextlib.ExitStack) -> sqlite3.Connection | Connection:
    """A read transaction begins with its first read, and sees nothing that is written after it."""
    source = held.enter_context(closing(sqlite3.connect(_read_only(Path(str(engine.url.database))), uri=True)))
    source.isolation_level = None
    source.execute("BEGIN")
    source.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return source


def _read_only(file: Path) -> str:
    return f"{file.resolve().as_uri()}?mode=ro"


def _pin_postgres(engine: Engine, held: contextlib.ExitStack) -> sqlite3.Connection | Connection:
    """Likewise; a SET is no query."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    source = held.enter_context(engine.connect().execution_options(**options))
    held.enter_context(source.begin())
    _take_time(source)
    source.execute(text("SELECT 1"))
    return source


def _take_time(conn: Connection) -> None:
    for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
        conn.execute(text(f"SET LOCAL {limit} = 0"))


def _write_rows(source: Connection, file: Path) -> None:
    target = open_control(f"sqlite:///{file}")
    try:
        migrate.upgrade(target)
        with target.begin() as writes:
            _copy_rows(source, writes)
            for table in _COUNTED:
                _count_on(writes, table, _counted(source, table))
    finally:
        target.dispose()
    with closing(sqlite3.connect(file)) as written:
        written.execute(_ONE_FILE)


def _copy_rows(reads: Connection, writes: Connection) -> None:
    """Parents before children; never more than some rows in memory."""
    streamed = reads.execution_options(yield_per=AT_ONCE)
    for table in metadata.sorted_tables:
        for rows in streamed.execute(select(table)).mappings().partitions(AT_ONCE):
            writes.execute(insert(table), _plain(rows))


def _plain(rows: Sequence[Any]) -> list[dict[str, Any]]:
    return [dict(row) for row in rows]


def _counted(conn: Connection, table: Table) -> int:
    """The last key that was given out, also when its row is gone: what was copied elsewhere by it must stay behind."""
    highest = conn.scalar(select(func.max(next(iter(table.primary_key))))) or 0
    if conn.dialect.name == "postgresql":
        sequence = conn.scalar(text("SELECT pg_get_serial_sequence(:table, :key)"), _named(table))
        last = f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}"  # noqa: S608  # its name
        given: int = conn.scalar(text(last)) or 0
    else:
        kept = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        given = conn.scalar(kept, {"table": table.name}) or 0
    return max(highest, given)


def _count_on(conn: Connection, table: Table, last: int) -> None:
    if last == 0:
        return
    if conn.dialect.name == "postgresql":
        conn.execute(
            text("SELECT setval(pg_get_serial_sequence(:table, :key), :last)"), {**_named(table), "last": last}
        )
    elif table.dialect_options["sqlite"]["autoincrement"]:
        name = {"table": table.name, "last": last}
        conn.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), name)
        conn.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), name)


def _named(table: Table) -> dict[str, str]:
    return {"table": table.name, "key": next(iter(table.primary_key)).name}
