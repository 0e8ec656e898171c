"""Put a moment into empty stores: tables as they were made then, their parts, then this release's migrations."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, make_url

from domain.errors import StartRefused
from domain.settings import Settings
from metrist.backup import packing
from metrist.backup.moments import File, Moment, Part, Table
from metrist.backup.repository import Repository
from schema import migrate, spool_files
from schema.clickhouse_client import ClickHouse
from schema.control import copies
from schema.control import migrate as control_migrate
from schema.control.engine import open_control
from schema.table_parts import TableParts


@dataclass(frozen=True)
class Targets:
    """Where it is to go; everything empty."""

    settings: Settings
    clickhouse: ClickHouse

    @property
    def database_url(self) -> str:
        return self.settings.database_url.get_secret_value()


def refuse_used(targets: Targets) -> None:
    """Raise StartRefused unless every store is empty: a restore replaces nothing."""
    if not TableParts(targets.clickhouse).is_empty():
        raise StartRefused(f"ClickHouse's database {targets.clickhouse.database} is not empty: restore into a new one")
    refuse_used_files(targets.settings)


def refuse_used_files(settings: Settings) -> None:
    """As `refuse_used`, of the control DB and the spool."""
    url = make_url(settings.database_url.get_secret_value())
    file = Path(url.database or "") if url.get_backend_name() == "sqlite" else None
    if file is not None:
        is_used = file.exists() and file.stat().st_size > 0
    else:
        engine = open_control(settings.database_url.get_secret_value())
        is_used = not copies.is_empty(engine)
        engine.dispose()
    if is_used:
        raise StartRefused("The control database is not empty: restore into a new one")
    if not spool_files.is_empty(settings.spool_dir):
        raise StartRefused(f"{settings.spool_dir} holds snapshots that are not in ClickHouse yet: name an empty folder")


def put_back(repository: Repository, moment: Moment, targets: Targets) -> None:
    """Everything of a moment that was verified. Raises StartRefused for what this release cannot read, Damaged."""
    tables = TableParts(targets.clickhouse)
    for table in moment.tables:  # what keeps rows, what they pass through, views: nothing is rolled up twice
        _put_back_table(repository, tables, table)
    migrate.upgrade(targets.clickhouse, targets.settings)
    for file in moment.spool:
        spool_files.place(targets.settings.spool_dir, file.name, contents(repository, file))
    _put_back_control(repository, moment, targets)


def contents(repository: Repository, file: File) -> Iterator[bytes]:
    """A file's bytes."""
    for kept in file.objects:
        yield from packing.unpack(repository.read(kept))


def _put_back_control(repository: Repository, moment: Moment, targets: Targets) -> None:
    """Last of all: without it, a platform that is started finds nothing of what was half restored."""
    with tempfile.TemporaryDirectory(prefix="metrist-restore-") as folder:
        file = Path(folder) / "control.db"
        with file.open("wb") as written:
            written.writelines(contents(repository, moment.control))
        if not copies.is_sound(file):
            raise StartRefused(
                "The backup's control database is damaged, although its bytes are those that were written"
            )
        _migrate(file)
        url = make_url(targets.database_url)
        if url.get_backend_name() == "sqlite":
            _place(file, Path(str(url.database)))
        else:
            _fill(targets.database_url, file)


def _migrate(file: Path) -> None:
    engine = open_control(f"sqlite:///{file}")
    try:
        control_migrate.upgrade(engine)
    finally:
        engine.dispose()
    for beside in ("-wal", "-shm"):
        with suppress(FileNotFoundError):
            file.with_name(file.name + beside).unlink()


def _fill(url: str, file: Path) -> None:
    engine: Engine = open_control(url)
    try:
        copies.fill(engine, file)
    finally:
        engine.dispose()


def _place(file: Path, to: Path) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = to.with_name(to.name + ".new")
    shutil.copyfile(file, new)
    new.chmod(0o600)
    new.replace(to)


def _put_back_table(repository: Repository, tables: TableParts, table: Table) -> None:
    tables.make(table.sql)
    if not table.parts:
        return
    tables.rest(table.name)
    for part in table.parts:
        _put_back_part(repository, tables, table, part)
    found = tables.count(table.name)
    if found != table.rows:
        raise StartRefused(f"{table.name} has {found} rows after the restore, {table.rows} were backed up")
    tables.work(table.name)


def _put_back_part(repository: Repository, tables: TableParts, table: Table, part: Part) -> None:
    kept = repository.read(part.object)
    if part.form == "files":
        tables.attach(table.name, part.name, lambda folder: packing.untar(kept, folder))
    else:
        tables.insert(table.name, (piece for piece in packing.unpack(kept) if piece))
