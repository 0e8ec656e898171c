"""Bring the control DB to today's tables: forward only, all steps in one transaction, one process at a time."""

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from domain.errors import StartRefused
from schema.control.engine import reading

LOCK = 7_106_771_001
"""PostgreSQL advisory lock of whoever migrates; SQLite's BEGIN IMMEDIATE is one already."""


def upgrade(engine: Engine, *, or_newer: bool = False) -> str:
    """Run the steps that are missing; returns the revision it is at now.

    or_newer  leave a database as it is that a newer release has added to; else that raises StartRefused

    Several processes may start together: one works, the others wait and find nothing to do.
    """
    with engine.begin() as connection:
        _be_alone(connection)
        found = _revision(connection)
        if or_newer and _is_newer(found):
            return str(found)
        _refuse_newer(found)
        command.upgrade(_config(connection), "head")
    return head()


def current(engine: Engine) -> str | None:
    """The revision the database is at; None for an empty one."""
    with reading(engine) as connection:
        return _revision(connection)


def head() -> str:
    """The revision this release needs."""
    found = _scripts().get_current_head()
    assert found is not None
    return found


def check(engine: Engine, *, or_newer: bool = False) -> None:
    """Raise StartRefused unless the database is exactly what this release needs, or what a newer one made of that."""
    found = current(engine)
    if or_newer and _is_newer(found):
        return
    _refuse_newer(found)
    if found != head():
        raise StartRefused(f"The control database is at {found or 'nothing'}, needs {head()}: run `metrist migrate`")


def _be_alone(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL lock_timeout = '10min'"))
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})


def _is_newer(revision: str | None) -> bool:
    return revision is not None and revision not in {step.revision for step in _scripts().walk_revisions()}


def _refuse_newer(revision: str | None) -> None:
    if _is_newer(revision):
        raise StartRefused(f"The control database is at {revision}, which a newer release of Metrist has made")


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", "schema.control:migrations")  # found in the installed package
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
