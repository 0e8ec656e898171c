"""`metrist backup`: everything as of one moment, into a folder of moments."""

import argparse
import sys
from contextlib import closing
from pathlib import Path

from domain.errors import StartRefused
from metrist import logs
from metrist.backup import machine
from metrist.backup.machine import Machine
from metrist.backup.moments import Moment
from metrist.backup.repository import Damaged, Repository
from metrist.backup.take import Sources, take
from metrist.environment import read_settings
from schema import migrate as clickhouse_migrate
from schema.clickhouse_client import open_clickhouse
from schema.control import migrate as control_migrate
from schema.control.engine import open_control


def run(options: argparse.Namespace) -> None:
    """Take one, list them, or read them all again. Raises StartRefused."""
    logs.configure(read_settings())
    repository = Repository(options.dest.absolute())
    if options.list:
        _list(repository)
    elif options.verify:
        _verify(repository, options.at)
    else:
        with repository.writing():
            machine.at_work(options.data, lambda found: _take(repository, found, options))


def _take(repository: Repository, found: Machine, options: argparse.Namespace) -> None:
    settings = found.settings
    if not settings.spool_dir.is_dir():
        raise StartRefused(f"the spool {settings.spool_dir} is not here: run this beside an API process, or see --data")
    control = open_control(settings.database_url.get_secret_value())
    # A statement about a large table may take as long as it does.
    with closing(open_clickhouse(settings, timeout_s=600)) as clickhouse:
        control_migrate.check(control)
        clickhouse_migrate.check(clickhouse)
        before = _size(repository)
        portable = options.portable or not found.has_engine
        sources = Sources(clickhouse, control, settings.spool_dir, _private(found), portable)
        moment = take(repository, sources, lambda words: print(words, flush=True))
        control.dispose()
    print(f"{moment.id}: {_rows(moment)} rows, {_mib(moment.bytes)}, of it new {_mib(_size(repository) - before)}")
    if options.keep is not None:
        print(f"{_mib(repository.prune(options.keep))} freed; {len(repository.moments())} moments are kept")


def _list(repository: Repository) -> None:
    with repository.reading():
        for moment in repository.moments():
            taken = moment.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC")
            print(f"{moment.id}  {taken}  release {moment.release}  {_rows(moment)} rows  {_mib(moment.bytes)}")
        _tell_broken(repository)


def _verify(repository: Repository, at: str | None) -> None:
    """Read every byte of one moment, or of all."""
    with repository.reading():
        moments = [repository.find(at)] if at else repository.moments()
        bad = {moment.id: repository.verify(moment) for moment in moments}
        for name, damaged in bad.items():
            print(f"{name}: {'whole' if not damaged else 'DAMAGED'}")
            for what in damaged:
                print(f"  {what}")
        if _tell_broken(repository) or any(bad.values()):
            raise Damaged("not all of this backup is what was written; restore another moment, and look at the disk")


def _tell_broken(repository: Repository) -> bool:
    for name in repository.broken():
        print(f"{name}: cannot be read; damaged, or of a newer release", file=sys.stderr)
    return bool(repository.broken())


def _private(found: Machine) -> dict[str, bytes]:
    """What is sealed opens with these again."""
    private = {}
    if given := found.settings.secret_key.get_secret_value():
        private["secret_key"] = given.encode()
    if found.data is not None and found.data.agent_key.exists():
        private["agent.key"] = found.data.agent_key.read_bytes()
    return private


def _size(repository: Repository) -> int:
    return sum(path.stat().st_size for path in _files(repository.root / "objects"))


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _rows(moment: Moment) -> int:
    return sum(table.rows for table in moment.tables)


def _mib(size: int) -> str:
    return f"{size / 1024**2:.1f} MiB"
