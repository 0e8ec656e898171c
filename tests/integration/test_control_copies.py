"""A copy of the control DB is all of it, as of one moment, from either database and into either."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, delete, func, select, text

from schema import accounts, api_keys, nodes, server_secrets
from schema.control import copies, migrate, tables
from schema.control.engine import open_control, reading
from schema.rebuild import rebuild
from tests.integration.test_erasing import furnished

NOW = datetime(2026, 1, 1, 12, 30, 30, 123_000, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres"])
def other(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of another empty control DB, once on each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/other.db"
        return
    administrator = open_control(request.getfixturevalue("postgres_url"))
    name = f"other_{uuid4().hex}"
    with administrator.begin() as conn:
        conn.execute(text(f"CREATE SCHEMA {name}"))
    yield administrator.url.update_query_dict({"options": f"-c search_path={name}"}).render_as_string(False)
    with administrator.begin() as conn:
        conn.execute(text(f"DROP SCHEMA {name} CASCADE"))
    administrator.dispose()


def everything(control: Engine) -> dict[str, list[tuple[object, ...]]]:
    with reading(control) as conn:
        return {
            table.name: sorted((tuple(row) for row in conn.execute(select(table))), key=str)
            for table in tables.metadata.sorted_tables
        }


def copy(control: Engine, file: Path) -> Path:
    with copies.pinned(control) as pinned:
        pinned.write(file)
    assert copies.is_sound(file)
    return file


def put(file: Path, url: str) -> Engine:
    """As a restore does."""
    engine = open_control(url)
    if engine.dialect.name == "sqlite":
        file.rename(Path(str(engine.url.database)))
    else:
        copies.fill(engine, file)
    return engine


def test_a_copy_is_the_same_in_either_database(control: Engine, other: str, tmp_path: Path) -> None:
    furnished(control, "home")
    secret = server_secrets.get_or_create(control, "sealing", NOW)
    before = everything(control)
    assert {name for name, rows in before.items() if not rows} <= {"erasures", "identities", "attempts"}
    found = put(copy(control, tmp_path / "copy.db"), other)
    assert everything(found) == before
    assert migrate.current(found) == migrate.current(control)
    assert rebuild(found).is_identical
    assert server_secrets.get_or_create(found, "sealing", NOW) == secret
    found.dispose()


def test_what_is_written_meanwhile_is_not_in_it(control: Engine, tmp_path: Path) -> None:
    accounts.create(control, "before", None, NOW)
    with copies.pinned(control) as pinned:
        accounts.create(control, "after", None, NOW)
        pinned.write(tmp_path / "copy.db")
    found = open_control(f"sqlite:///{tmp_path}/copy.db")
    assert [account.name for account in accounts.list_all(found)] == ["before"]
    found.dispose()


def test_the_log_counts_on_behind_events_that_are_gone(control: Engine, other: str, tmp_path: Path) -> None:
    """Node events are copied to ClickHouse by their numbers: one that is given out again would be taken for known."""
    account = accounts.create(control, "home", None, NOW)
    nodes.register(control, account.id, "web-1", None, NOW)
    with control.begin() as conn:
        last = conn.scalar(select(func.max(tables.events.c.seq))) or 0
        conn.execute(delete(tables.events).where(tables.events.c.seq == last))
    found = put(copy(control, tmp_path / "copy.db"), other)
    api_keys.create(found, account.id, "next", ["ingest"], NOW)
    with reading(found) as conn:
        assert conn.scalar(select(func.max(tables.events.c.seq))) == last + 1
    found.dispose()


def test_a_damaged_copy_is_found(control: Engine, tmp_path: Path) -> None:
    furnished(control, "home")
    file = copy(control, tmp_path / "copy.db")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2] + b"\0" * (len(whole) - len(whole) // 2))
    assert not copies.is_sound(file)
