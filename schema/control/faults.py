"""What the databases' own errors mean to us, in one place for both drivers.

Everything not named here stays what it is: a mistake of ours, to be seen in full.
"""

import sqlite3

from sqlalchemy import Engine, PoolProxiedConnection, QueuePool, event
from sqlalchemy.engine import Dialect, ExceptionContext
from sqlalchemy.exc import TimeoutError as PoolTimeout

from domain.errors import Conflict, MetristError, StorageFull, StoreUnavailable

LOST_RACE = "Another writer was first"
LOST_PARENT = "What this belongs to was deleted at the same time"
AWAY = "The control database is not reachable just now; try again shortly"
BUSY = "The control database is busy; try again shortly"
NO_DATABASE = "The control database's file is none of SQLite's; look at METRIST_DATABASE_URL"
DAMAGED = "The control database's file is damaged; stop Metrist and restore a backup (docs/backups.md)"
FULL = "The disk of the control database is full"

SQLITE: dict[str, tuple[type[MetristError], str]] = {
    "SQLITE_CONSTRAINT_UNIQUE": (Conflict, LOST_RACE),
    "SQLITE_CONSTRAINT_PRIMARYKEY": (Conflict, LOST_RACE),
    "SQLITE_CONSTRAINT_FOREIGNKEY": (Conflict, LOST_PARENT),
    "SQLITE_BUSY": (StoreUnavailable, BUSY),
    "SQLITE_BUSY_SNAPSHOT": (Conflict, LOST_RACE),
    "SQLITE_LOCKED": (StoreUnavailable, BUSY),
    "SQLITE_CANTOPEN": (StoreUnavailable, AWAY),
    "SQLITE_FULL": (StorageFull, FULL),
    "SQLITE_NOTADB": (StoreUnavailable, NO_DATABASE),
    "SQLITE_CORRUPT": (StoreUnavailable, DAMAGED),
}
"""Primary or extended result code by name, as sqlite3 gives it: sqlite.org/rescode.html."""

POSTGRES: dict[str, tuple[type[MetristError], str]] = {
    "23505": (Conflict, LOST_RACE),  # unique_violation
    "23503": (Conflict, LOST_PARENT),  # foreign_key_violation
    "40001": (Conflict, LOST_RACE),  # serialization_failure
    "40P01": (Conflict, LOST_RACE),  # deadlock_detected
    "55P03": (StoreUnavailable, BUSY),  # lock_not_available, after lock_timeout
    "57014": (StoreUnavailable, BUSY),  # query_canceled, after statement_timeout
    "53100": (StorageFull, FULL),  # disk_full
    "53300": (StoreUnavailable, BUSY),  # too_many_connections
    "57P01": (StoreUnavailable, AWAY),  # admin_shutdown
    "57P02": (StoreUnavailable, AWAY),  # crash_shutdown
    "57P03": (StoreUnavailable, AWAY),  # cannot_connect_now
}
"""SQLSTATE, PostgreSQL manual appendix A."""


class Pool(QueuePool):
    """A pool whose own fault, no connection free in time, is ours too."""

    def connect(self) -> PoolProxiedConnection:
        try:
            return super().connect()
        except PoolTimeout as error:
            raise StoreUnavailable(BUSY) from error


def of_sqlite(error: sqlite3.Error) -> MetristError:
    """What it means that a file cannot be opened: whatever has no name here is no mistake in a statement of ours."""
    kind, detail = SQLITE.get(getattr(error, "sqlite_errorname", ""), (StoreUnavailable, AWAY))
    return kind(detail)


def translate_faults(engine: Engine) -> None:
    """From now on this engine raises our errors for what is no mistake of ours."""
    event.listen(engine, "handle_error", _translate)


def _translate(context: ExceptionContext) -> MetristError | None:
    if context.is_pre_ping:  # the pool looks at this error itself, and connects again
        return None
    fault = _fault(context.original_exception, context.dialect)
    return fault[0](fault[1]) if fault else None


def _fault(error: BaseException, dialect: Dialect) -> tuple[type[MetristError], str] | None:
    if dialect.name == "sqlite":
        return SQLITE.get(getattr(error, "sqlite_errorname", ""))
    state: str | None = getattr(error, "sqlstate", None)
    if state:
        return POSTGRES.get(state)
    driver = dialect.loaded_dbapi  # as loaded: with SQLite nobody pays for psycopg's 8 MB
    return (StoreUnavailable, AWAY) if isinstance(error, driver.OperationalError) else None
