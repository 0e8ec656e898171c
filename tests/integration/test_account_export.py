"""An account's export holds all of it in every tier, nothing of others, and nothing that opens a door."""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, LargeBinary

from domain.errors import InvalidBody, NotFound, StartRefused
from domain.ids import AccountId
from domain.settings import Settings
from metrist.commands import account_erase, account_export
from schema import account_rows, account_samples, accounts, erasures, migrate, samples
from schema.clickhouse_client import ClickHouse
from schema.control.engine import reading
from schema.control.tables import metadata
from tests.clickhouse_server import Server
from tests.integration.test_backup import KEPT, address, line
from tests.integration.test_erasing import furnished, rows_of


@pytest.fixture
def platform(
    clickhouse_server: Server,
    clickhouse_database: str,
    sqlite_control: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[ClickHouse]:
    """The stores that the environment names."""
    url = address(clickhouse_server, clickhouse_database)
    monkeypatch.setenv("METRIST_CLICKHOUSE_URL", url)
    monkeypatch.setenv("METRIST_DATABASE_URL", str(sqlite_control.url).replace("+pysqlite", ""))
    monkeypatch.setenv("METRIST_REDIS_URL", "redis://127.0.0.1:1/0")
    clickhouse = ClickHouse(url)
    migrate.upgrade(clickhouse, Settings(_env_file=None, **KEPT))  # type: ignore[arg-type]
    yield clickhouse
    clickhouse.close()


def insert(clickhouse: ClickHouse, account_id: UUID, node: str) -> None:
    """Samples of two weeks and months, each in two segments, so that rollups have rows to be merged."""
    for month in (1, 2):
        for minute in (30, 31):
            ts_s = datetime(2026, month, 3, 12, minute, tzinfo=UTC).timestamp()
            body = json.loads(line(node, 4, ts_s)) | {"account": str(account_id)}
            samples.insert(clickhouse, json.dumps(body).encode() + b"\n", f"{node}-{month}-{minute}")


def export(name: str, folder: Path) -> str:
    """Run the command; returns all text of the control DB in it."""
    account_export.run(argparse.Namespace(data=None, name=name, dest=folder))
    return "".join(path.read_text() for path in sorted((folder / "control").iterdir()))


def test_all_of_an_account_and_nothing_of_another(platform: ClickHouse, sqlite_control: Engine, tmp_path: Path) -> None:
    mine, other = furnished(sqlite_control, "canary"), furnished(sqlite_control, "stranger")
    for account_id, node in ((mine, "canary-node"), (other, "stranger-node")):
        insert(platform, account_id, node)
    text = export("canary", tmp_path / "out")
    assert "canary-node" in text and "canary@example.org" in text
    assert "stranger" not in text and str(other) not in text
    told = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    for name, about in told.items():
        body = (tmp_path / "out" / name).read_bytes()
        assert (len(body), sha256(body).hexdigest()) == (about["bytes"], about["sha256"]), name
        assert (tmp_path / "out" / name).stat().st_mode & 0o077 == 0
    in_control = {path.stem: path.read_text().count("\n") for path in (tmp_path / "out" / "control").iterdir()}
    whose = rows_of(sqlite_control, mine)
    assert {table: in_control[table] for table in whose if table in in_control} == {
        table: count for table, count in whose.items() if table in in_control
    }
    assert sorted(in_control | dict(account_rows.LEFT_OUT)) == sorted(metadata.tables)
    with pytest.raises(StartRefused, match="not empty"):
        export("canary", tmp_path / "out")
    with pytest.raises(NotFound):
        export("nobody", tmp_path / "none")


def test_every_tier_is_read_back_as_it_was_stored(platform: ClickHouse, sqlite_control: Engine, tmp_path: Path) -> None:
    mine, other = furnished(sqlite_control, "canary"), furnished(sqlite_control, "stranger")
    insert(platform, mine, "canary-node")
    insert(platform, other, "stranger-node")
    export("canary", tmp_path / "out")
    for table in account_samples.tables(platform):
        files = sorted((tmp_path / "out" / table.name).glob("*.parquet"))
        columns = ", ".join(table.columns)
        whole = f"SELECT {columns} FROM {table.source} WHERE account = '{mine}'"
        platform.command(f"CREATE TABLE back ENGINE = Memory AS {whole} AND 0")
        for file in files:
            platform.raw_insert("back", file.read_bytes(), fmt="Parquet", settings={})
        stored = platform.query(f"{whole} ORDER BY ALL").result_rows
        assert platform.query("SELECT * FROM back ORDER BY ALL").result_rows == stored, table.name
        assert stored or table.name in ("monitor_runs", "node_events")
        platform.command("DROP TABLE back SYNC")
    assert len(list((tmp_path / "out" / "samples").iterdir())) == 2, "one file a week that has samples"


def test_nothing_secret_goes_along(sqlite_control: Engine) -> None:
    account_id = furnished(sqlite_control, "canary")
    with reading(sqlite_control) as conn:
        rows = account_rows.AccountRows(conn, account_id)
        found = {table: list(rows.of(table)) for table in account_rows.tables()}
    for table, records in found.items():
        binary = {column.name for column in metadata.tables[table].columns if isinstance(column.type, LargeBinary)}
        for record in records:
            assert binary.isdisjoint(record), table
            assert "secret_sha256" not in json.dumps(record, default=str), table
    assert found["api_keys"] and found["events"] and found["shares"], "there was something to leave out"


def test_an_account_is_erased_when_its_name_is_said_twice(
    platform: ClickHouse, sqlite_control: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    account_id = furnished(sqlite_control, "canary")
    for confirm in (None, "canar", "stranger"):
        with pytest.raises(InvalidBody, match="--confirm 'canary'"):
            account_erase.run(argparse.Namespace(data=None, name="canary", confirm=confirm))
    assert [account.name for account in accounts.list_all(sqlite_control)] == ["canary"]
    account_erase.run(argparse.Namespace(data=None, name=str(account_id), confirm="canary"))
    assert accounts.list_all(sqlite_control) == []
    assert [due.account_id for due in erasures.due(sqlite_control, datetime.now(UTC), 9)] == [AccountId(account_id)]
    assert "refuse its keys within 5 s" in capsys.readouterr().out
