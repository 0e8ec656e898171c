"""The control DB for tests, on both databases: a SQLite file, and a schema of its own in a private PostgreSQL.

METRIST_TEST_DATABASE_URL names a PostgreSQL to use instead; nothing outside the tests' own schemas is touched there.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, make_url, text

from schema.control import migrate
from schema.control.engine import open_control
from tests.clickhouse_server import clickhouse_database, clickhouse_server
from tests.fleet import fleet
from tests.valkey_server import own_valkey, redis_sync, valkey, valkey_server

__all__ = ["clickhouse_database", "clickhouse_server", "fleet", "own_valkey", "redis_sync", "valkey", "valkey_server"]


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL database that may be written to."""
    given = os.environ.get("METRIST_TEST_DATABASE_URL")
    if given:
        yield given
        return
    programs = _find_postgres()
    if programs is None:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql) and METRIST_TEST_DATABASE_URL is not set")
    folder = Path(tempfile.mkdtemp(prefix="metrist-pg-"))
    user = _unprivileged_user(folder)
    try:
        _start(programs, folder, user)
        yield f"postgresql://metrist@/postgres?host={folder}"
    finally:
        _run(user, programs / "pg_ctl", "stop", "-D", folder / "data", "-m", "immediate", check=False)
        shutil.rmtree(folder)


@pytest.fixture
def postgres_control_url(postgres_url: str) -> Iterator[str]:
    """An address whose tables go to a new, empty schema."""
    name = f"test_{uuid4().hex}"
    administrator = open_control(postgres_url)
    with administrator.begin() as conn:
        conn.execute(text(f"CREATE SCHEMA {name}"))
    url = make_url(postgres_url).update_query_dict({"options": f"-c search_path={name}"})
    yield url.render_as_string(hide_password=False)
    with administrator.begin() as conn:
        conn.execute(text(f"DROP SCHEMA {name} CASCADE"))
    administrator.dispose()


@pytest.fixture(params=["sqlite", "postgres"])
def control_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty control DB, once on each database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/control.db"
    url: str = request.getfixturevalue("postgres_control_url")
    return url


@pytest.fixture
def empty_control(control_url: str) -> Iterator[Engine]:
    """A control DB without any table, once on each database."""
    engine = open_control(control_url)
    yield engine
    engine.dispose()


@pytest.fixture
def control(empty_control: Engine) -> Engine:
    """A control DB ready for use, once on each database."""
    migrate.upgrade(empty_control)
    return empty_control


@pytest.fixture
def sqlite_control(tmp_path: Path) -> Iterator[Engine]:
    """A control DB ready for use, for tests of something else."""
    engine = open_control(f"sqlite:///{tmp_path}/control.db")
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def _find_postgres() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _unprivileged_user(folder: Path) -> str | None:
    """Who runs the server, and owns its folder: initdb refuses root."""
    if os.geteuid() != 0:
        return None
    user = next(name for name in ("postgres", "nobody") if name in {entry.pw_name for entry in pwd.getpwall()})
    shutil.chown(folder, user)
    return user


def _start(programs: Path, folder: Path, user: str | None) -> None:
    """A server on a socket in its own folder: no port that could be taken."""
    data = folder / "data"
    _run(user, programs / "initdb", "-D", data, "-U", "metrist", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
    options = f"-c listen_addresses='' -c unix_socket_directories={folder} -c fsync=off -c max_connections=200"
    _run(user, programs / "pg_ctl", "start", "-D", data, "-w", "-l", folder / "log", "-o", options)


def _run(user: str | None, *command: str | Path, check: bool = True) -> None:
    groups: list[int] | None = None if user is None else []
    group = None if user is None else pwd.getpwnam(user).pw_gid
    subprocess.run(
        command, user=user, group=group, extra_groups=groups, cwd="/", check=check, stdout=subprocess.DEVNULL
    )
