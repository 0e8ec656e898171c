"""How the control DB is opened; every process has one engine."""

import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from domain.errors import StartRefused
from schema.control.faults import Pool, of_sqlite, translate_faults

BUSY_TIMEOUT_S = 10
POOL_TIMEOUT_S = 10
THREADS = 40
"""anyio's limit of threads, and so of requests that hold a connection at once."""
POSTGRES_OPTIONS = "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s"
READS = "metrist_reads"
CACHE_KB = 512
"""Of each connection to SQLite, which would take 2 MB little by little; the system has the file in memory anyway."""


def open_control(url: str) -> Engine:
    """An engine for `sqlite:///FILE` or `postgresql://user:password@host/database`.

    `engine.begin()` is a transaction that writes, `reading(engine)` one that only reads.
    Raises StartRefused for another kind of address, or a file that cannot be made.
    """
    parsed = _parse(url)
    match parsed.get_backend_name():
        case "sqlite":
            return _open_sqlite(parsed)
        case "postgresql" | "postgres":
            return _open_postgres(parsed)
        case other:
            raise StartRefused(f"The control database is SQLite or PostgreSQL; its address begins with {other}:")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: it waits for no writer on SQLite and may not write on PostgreSQL."""
    with engine.connect() as connection:
        reader = connection.execution_options(**{READS: True, "postgresql_readonly": True})
        with reader.begin():
            yield reader


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except ArgumentError as error:  # its text holds the address, and that may hold a password
        raise StartRefused("METRIST_DATABASE_URL is not an address such as sqlite:///FILE") from error


def _open_sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StartRefused("The control database needs a file that all processes can open: sqlite:///FILE")
    _make_private(Path(url.database))
    engine = create_engine(
        url.set(drivername="sqlite+pysqlite"),
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
        json_serializer=_to_json,
        pool_size=5,
        pool_use_lifo=True,  # one or two do most of the work; each that does takes a megabyte
        max_overflow=THREADS,  # connections to a file cost nothing; never make a request wait for one
    )
    event.listen(engine, "connect", _set_pragmas)
    event.listen(engine, "begin", _begin)
    translate_faults(engine)
    return engine


def _open_postgres(url: URL) -> Engine:
    asked = url.query.get("options", "")
    engine = create_engine(
        url.set(drivername="postgresql+psycopg").difference_update_query(["options"]),
        connect_args={
            "application_name": "metrist",
            "connect_timeout": 5,
            "options": f"{POSTGRES_OPTIONS} {asked}".strip(),
        },
        json_serializer=_to_json,
        pool_pre_ping=True,  # a restarted server or a firewall's time-out costs nobody an error
        pool_recycle=1800,
        pool_size=5,
        max_overflow=15,  # × replicas stays below PostgreSQL's usual limit of 100
        pool_timeout=POOL_TIMEOUT_S,
        poolclass=Pool,
    )
    translate_faults(engine)
    return engine


def _make_private(file: Path) -> None:
    """Create the file readable by its owner only; SQLite gives the -wal and -shm beside it the same mode."""
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        if file.stat().st_uid == os.geteuid():
            file.chmod(0o600)
    except OSError as error:
        raise StartRefused(f"The control database {file} cannot be opened: {error.strerror}") from error


def _set_pragmas(connection: Any, _record: Any) -> None:
    """What SQLite refuses here is translated here: SQLAlchemy looks at the faults of statements only."""
    connection.isolation_level = None  # sqlite3 begins nothing by itself; _begin does
    try:
        with closing(connection.cursor()) as cursor:
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("PRAGMA synchronous = FULL")  # a commit survives power loss, not only a crash
            _use_wal(cursor)
            cursor.execute(f"PRAGMA cache_size = -{CACHE_KB}")
    except sqlite3.Error as error:
        raise of_sqlite(error) from error


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Switch once in the file's life; SQLite does not wait by itself when two first openers meet here."""
    until = time.monotonic() + BUSY_TIMEOUT_S
    while (mode := _switch(cursor, until)) is None:
        time.sleep(0.01)
    if mode != "wal":
        raise StartRefused("SQLite's WAL mode does not work for the control database's file; use a local disk")


def _switch(cursor: sqlite3.Cursor, until: float) -> str | None:
    """The mode it is in now; None while someone else is at it and there is time."""
    try:
        mode: str = cursor.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    except sqlite3.OperationalError as error:
        if error.sqlite_errorname.startswith("SQLITE_BUSY") and time.monotonic() < until:
            return None
        raise
    return mode


def _begin(connection: Connection) -> None:
    """Take the write lock at once: a transaction that reads first and then writes would deadlock with its twin."""
    if connection.get_execution_options().get(READS, False):
        connection.exec_driver_sql("BEGIN")
        return
    driver: Any = connection.connection.driver_connection
    driver.execute("PRAGMA busy_timeout = 0")
    try:
        if not _take_turn(driver):
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the last try; what it raises is ours, see faults.py
    finally:
        driver.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")


def _take_turn(driver: Any) -> bool:
    """Try every few milliseconds for the write lock; False when the time is over.

    SQLite's own waiting sleeps longer with every try, so the unlucky starve: of 16 threads with transactions of 1 ms
    one waited 1.5 to 2.1 s; this way 0.4 to 0.6 s.
    """
    until = time.monotonic() + BUSY_TIMEOUT_S
    while time.monotonic() < until:
        if _begins(driver):
            return True
        time.sleep(random.uniform(0.0005, 0.005))  # noqa: S311
    return False


def _begins(driver: sqlite3.Connection) -> bool:
    try:
        driver.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:  # whatever it is: when the time is over, the last try tells
        return False
    return True


def _to_json(value: Any) -> str:
    """One text for one value, so that rows made twice are equal; NaN is refused, as PostgreSQL would."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
