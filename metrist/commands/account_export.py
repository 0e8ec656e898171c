"""`metrist account export`: all that is kept of one account, in files that other programs read."""

import argparse
import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import msgspec
from sqlalchemy import Engine

from domain.errors import StartRefused
from domain.ids import AccountId
from metrist import control, logs
from metrist.backup import machine
from metrist.backup.machine import Machine
from metrist.environment import read_settings
from schema import account_rows, account_samples
from schema.account_rows import AccountRows
from schema.accounts import AccountRow
from schema.clickhouse_client import ClickHouse, open_clickhouse
from schema.control.engine import reading


def run(options: argparse.Namespace) -> None:
    """Write the account's folder; it holds nobody else's, and nothing that opens a door. Raises StartRefused."""
    logs.configure(read_settings())
    machine.at_work(options.data, lambda found: _export(found, options.name, options.dest.absolute()))


def _export(found: Machine, name: str, folder: Path) -> None:
    if found.settings.clickhouse_cluster:
        raise StartRefused("samples of a cluster are exported by ClickHouse: SELECT … WHERE account = … FORMAT Parquet")
    with control.opened(found.settings) as opened:
        account = control.find_account(opened.engine, name)
        _refuse_used(folder)
        with closing(open_clickhouse(found.settings, timeout_s=600)) as clickhouse:
            told: dict[str, object] = {
                **_control(opened.engine, account.id, folder),
                **_samples(clickhouse, account.id, folder),
            }
    _write(folder / "manifest.json", [json.dumps(_manifest(account, told), indent=1).encode()])
    print(f"{account.name}: {len(told)} files in {folder}")


def _control(engine: Engine, account_id: AccountId, folder: Path) -> dict[str, object]:
    with reading(engine) as conn:
        rows = AccountRows(conn, account_id)
        return {
            f"control/{table}.ndjson": _write(folder / "control" / f"{table}.ndjson", _lines(rows.of(table)))
            for table in account_rows.tables()
        }


def _samples(clickhouse: ClickHouse, account_id: AccountId, folder: Path) -> dict[str, object]:
    told: dict[str, object] = {}
    for table in account_samples.tables(clickhouse):
        for partition, _ in account_samples.partitions(clickhouse, account_id, table):
            name = f"{table.name}/{partition}.parquet"
            told[name] = _write(folder / name, account_samples.parquet(clickhouse, account_id, table, partition))
    return told


def _lines(rows: Iterable[dict[str, object]]) -> Iterator[bytes]:
    for row in rows:
        yield msgspec.json.encode(row) + b"\n"


def _manifest(account: AccountRow, told: dict[str, object]) -> dict[str, object]:
    about = {"account": account.name, "id": str(account.id), "exported_at": control.now().isoformat()}
    return {**about, "release": version("metrist"), "left_out": dict(account_rows.LEFT_OUT), "files": told}


def _refuse_used(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StartRefused(f"{folder} is not empty: name a new folder")


def _write(path: Path, contents: Iterable[bytes]) -> dict[str, object]:
    """Write a file that only its owner reads; returns its size and digest."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for piece in contents:
            digest.update(piece)
            size += len(piece)
            file.write(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}
