"""Each earlier release's stores are brought up to date with all their data, and its processes still work beside ours.

`tests/fixtures/release-*` is what `keep_release.py` wrote with that release's own code.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from metrist.backup.repository import Repository
from schema import accounts, migrate, samples
from schema.clickhouse_client import ClickHouse
from schema.control import migrate as control_migrate
from schema.control.engine import open_control, reading
from schema.control.tables import events
from schema.rebuild import rebuild
from schema.spool import SUFFIX
from tests.clickhouse_server import Server
from tests.integration.test_backup import Place, address, back_up, drain, restore

KEPT = sorted((Path(__file__).parent.parent / "fixtures").glob("release-*"))
OF_A_SEGMENT = 12


@pytest.fixture(params=KEPT, ids=lambda folder: folder.name)
def release(request: pytest.FixtureRequest) -> Path:
    folder: Path = request.param
    return folder


@pytest.fixture
def old(release: Path, clickhouse_server: Server, clickhouse_database: str, tmp_path: Path) -> Iterator[Place]:
    """The stores as that release left them, and one segment in its spool."""
    place = Place(address(clickhouse_server, clickhouse_database), tmp_path)
    with closing(sqlite3.connect(tmp_path / "control.db")) as database:
        database.executescript((release / "control.sql").read_text())
    for table in kept(release)["tables"]:
        place.clickhouse.command(table["sql"], settings=migrate.DDL_SETTINGS)
        fill(place.clickhouse, table["name"], table["rows"])
    (tmp_path / "spool" / "00").mkdir(parents=True)
    segment = (release / "segment.ndjson").read_bytes()
    (tmp_path / "spool" / "00" / f"1767270630000-0123456789ab{SUFFIX}").write_bytes(segment)
    yield place
    place.clickhouse.close()


@pytest.fixture
def target(clickhouse_server: Server, clickhouse_database: str, tmp_path: Path) -> Iterator[Place]:
    """An empty machine beside it."""
    (tmp_path / "new").mkdir()
    place = Place(address(clickhouse_server, f"{clickhouse_database}_new"), tmp_path / "new")
    yield place
    place.clickhouse.command(f"DROP DATABASE IF EXISTS {clickhouse_database}_new SYNC")
    place.clickhouse.close()


def kept(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "clickhouse.json").read_text())
    return found


def fill(clickhouse: ClickHouse, table: str, rows: list[dict[str, Any]]) -> None:
    if rows:
        body = "\n".join(json.dumps(row) for row in rows).encode()
        clickhouse.raw_insert(table, body, fmt="JSONEachRow", settings={"optimize_on_insert": 0})


def upgraded(place: Place) -> Engine:
    """After `metrist migrate`."""
    control = open_control(place.settings.database_url.get_secret_value())
    control_migrate.upgrade(control)
    migrate.upgrade(place.clickhouse, place.settings)
    return control


def answers(clickhouse: ClickHouse, asked: list[dict[str, Any]]) -> list[Any]:
    """What that release's questions give now."""
    found: list[Any] = []
    for each in asked:
        if "data" in each:
            found.append(json.loads(clickhouse.raw_query(each["sql"], each["parameters"]))["data"])
        else:
            rows = clickhouse.query(each["sql"], each["parameters"]).result_rows
            found.append(json.loads(json.dumps([list(row) for row in rows], default=str)))
    return found


def before(asked: list[dict[str, Any]]) -> list[Any]:
    return [each.get("data", each.get("rows")) for each in asked]


def test_todays_migrations_bring_its_stores_up_to_date(release: Path, old: Place) -> None:
    control = upgraded(old)
    control_migrate.check(control)
    migrate.check(old.clickhouse)
    assert migrate.describe(old.clickhouse) == files("schema").joinpath("clickhouse", "current.sql").read_text("utf-8")
    asked = kept(release)["asked"]
    assert answers(old.clickhouse, asked) == before(asked)
    with reading(control) as conn:
        assert (conn.scalar(select(func.count()).select_from(events)) or 0) > 10
    assert rebuild(control).is_identical
    assert [account.name for account in accounts.list_all(control)] == ["kept"]
    counts = old.counts()
    drain(old)
    assert old.counts() == [count + OF_A_SEGMENT for count in counts]
    control.dispose()


def test_its_processes_work_on_todays_clickhouse(release: Path, old: Place) -> None:
    """While an upgrade goes on, its drain and its jobs insert what they have always inserted, and its pages ask."""
    control = upgraded(old)
    control.dispose()
    asked, counts = kept(release)["asked"], old.counts()
    samples.insert(old.clickhouse, (release / "segment.ndjson").read_bytes(), "a token of theirs")
    assert old.counts() == [count + OF_A_SEGMENT for count in counts]
    (events_of_nodes,) = (table["rows"] for table in kept(release)["tables"] if table["name"] == "node_events")
    fill(old.clickhouse, "node_events", [row | {"seq": 1_000 + row["seq"]} for row in events_of_nodes])
    ours = old.clickhouse.query("SELECT count() FROM node_events").result_rows[0][0]
    assert ours == 2 * len(events_of_nodes)
    assert len(answers(old.clickhouse, asked)) == len(asked)


def test_its_processes_work_on_todays_control_db(release: Path, sqlite_control: Engine, tmp_path: Path) -> None:
    """All that it says while an account is made and used, said to today's tables; what it wrote folds to the same."""
    lines = [json.loads(line) for line in (release / "statements.jsonl").read_text().splitlines()]
    assert {line[0].split()[0] for line in lines} >= {"INSERT", "UPDATE", "SELECT"}
    with closing(sqlite3.connect(tmp_path / "control.db")) as database:
        database.execute("PRAGMA foreign_keys = ON")
        for statement, parameters in lines:
            for each in parameters:
                database.execute(
                    statement, [bytes.fromhex(one["hex"]) if isinstance(one, dict) else one for one in each]
                )
        database.commit()
    assert rebuild(sqlite_control).is_identical
    assert [account.name for account in accounts.list_all(sqlite_control)] == ["kept"]


def _value(told: Any) -> Any:
    return bytes.fromhex(told["hex"]) if isinstance(told, dict) else told


def test_its_backup_is_restored_into_todays_tables(release: Path, old: Place, target: Place, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "backups")
    moment = back_up(repository, old)
    restore(repository, moment, target)
    control = open_control(target.settings.database_url.get_secret_value())
    control_migrate.check(control)
    migrate.check(target.clickhouse)
    assert moment.revision < control_migrate.head()
    assert rebuild(control).is_identical
    control.dispose()
    drain(target)
    drain(old)
    assert target.counts() == old.counts()
