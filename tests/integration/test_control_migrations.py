"""The control DB's migrations build today's tables, once, however many start together."""

import multiprocessing
import sqlite3
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from stat import S_IMODE

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from domain.errors import StartRefused, StoreUnavailable
from schema.control import engine, migrate
from schema.control.engine import open_control, reading
from schema.control.tables import metadata


def test_migrations_build_todays_tables(control: Engine) -> None:
    with reading(control) as conn:
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []


def test_names_of_constraints_and_indexes_are_those_of_the_tables(control: Engine) -> None:
    with reading(control) as conn:
        seen = inspect(conn)
        for table in metadata.sorted_tables:
            # SQLite writes a counted key into its column, without a name
            assert seen.get_pk_constraint(table.name)["name"] in (table.primary_key.name, None)
            assert {key["name"] for key in seen.get_foreign_keys(table.name)} == {
                key.name for key in table.foreign_key_constraints
            }
            assert {index.name for index in table.indexes} <= {index["name"] for index in seen.get_indexes(table.name)}


def test_an_empty_database_is_upgraded_and_upgrading_again_changes_nothing(empty_control: Engine) -> None:
    assert migrate.current(empty_control) is None
    assert migrate.upgrade(empty_control) == migrate.upgrade(empty_control) == migrate.head()
    assert migrate.current(empty_control) == migrate.head()
    migrate.check(empty_control)


def test_check_says_what_to_run(empty_control: Engine) -> None:
    with pytest.raises(StartRefused, match="metrist migrate"):
        migrate.check(empty_control)


def test_a_newer_database_is_refused_and_left_alone(control: Engine) -> None:
    with control.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for refuse in (migrate.check, migrate.upgrade):
        with pytest.raises(StartRefused, match="newer release"):
            refuse(control)
    assert migrate.current(control) == "9999"


def test_a_release_that_was_rolled_back_leaves_a_newer_database_as_it_is(control: Engine) -> None:
    assert migrate.upgrade(control, or_newer=True) == migrate.head()
    with control.begin() as conn:
        conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    assert migrate.upgrade(control, or_newer=True) == "9999"
    migrate.check(control, or_newer=True)


def test_processes_that_start_together_migrate_once(control_url: str) -> None:
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(4)
    with ProcessPoolExecutor(4, mp_context=spawn, initializer=_share, initargs=(barrier,)) as pool:
        assert list(pool.map(_upgrade, [control_url] * 4)) == [migrate.head()] * 4


def test_a_step_that_fails_leaves_nothing_behind(empty_control: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    with empty_control.begin() as conn:
        conn.execute(text("CREATE TABLE sessions (in_the_way INTEGER)"))
    with pytest.raises(Exception, match="sessions"):
        migrate.upgrade(empty_control)
    with reading(empty_control) as conn:
        assert inspect(conn).get_table_names() == ["sessions"]


def test_the_sqlite_files_are_private_and_in_wal_mode(sqlite_control: Engine, tmp_path: Path) -> None:
    with reading(sqlite_control) as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
        assert conn.scalar(text("PRAGMA synchronous")) == 2
        assert conn.scalar(text("PRAGMA foreign_keys")) == 1
        assert {file.name: oct(S_IMODE(file.stat().st_mode)) for file in tmp_path.iterdir()} == dict.fromkeys(
            ("control.db", "control.db-wal", "control.db-shm"), oct(0o600)
        )


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://user:hunter2@host/db", "SQLite or PostgreSQL"),
        ("sqlite://", "needs a file"),
        ("sqlite:////nowhere/at/all/control.db", "cannot be opened: No such file"),
        ("hunter2", "METRIST_DATABASE_URL"),
    ],
)
def test_an_address_that_cannot_work_stops_the_start(url: str, told: str) -> None:
    with pytest.raises(StartRefused, match=told) as refused:
        open_control(url)
    assert "hunter2" not in refused.value.detail


def test_a_file_that_somebody_holds_is_a_store_that_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.2)
    file = tmp_path / "control.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("CREATE TABLE held (it)")
        other.execute("BEGIN EXCLUSIVE")
        opened = open_control(f"sqlite:///{file}")
        with pytest.raises(StoreUnavailable, match="busy"), reading(opened):
            pass
        other.execute("ROLLBACK")
    with reading(opened) as conn:
        assert conn.scalar(text("PRAGMA journal_mode")) == "wal"
    opened.dispose()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda kept: b"not at all" * 1_000, "none of SQLite's"),
        (lambda kept: kept[:100] + b"\xff" * (len(kept) - 100), "damaged"),
    ],
    ids=["no database", "damaged"],
)
def test_a_file_that_is_no_database_any_more_is_told_so(
    tmp_path: Path, harm: Callable[[bytes], bytes], told: str
) -> None:
    file = tmp_path / "control.db"
    with closing(sqlite3.connect(file)) as made:
        made.execute("CREATE TABLE held (it)")
    file.write_bytes(harm(file.read_bytes()))
    opened = open_control(f"sqlite:///{file}")
    with pytest.raises(StoreUnavailable, match=told), reading(opened) as conn:
        conn.execute(text("SELECT * FROM held"))
    opened.dispose()


_shared: dict[str, Barrier] = {}


def _share(barrier: Barrier) -> None:
    _shared["start"] = barrier


def _upgrade(url: str) -> str:
    _shared["start"].wait(30)
    engine = open_control(url)
    try:
        return migrate.upgrade(engine)
    finally:
        engine.dispose()
