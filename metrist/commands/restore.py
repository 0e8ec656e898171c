"""`metrist restore`: an empty machine becomes what another was at a moment."""

import argparse
from contextlib import closing

from domain.errors import StartRefused
from metrist import logs
from metrist.backup import machine
from metrist.backup.machine import Machine
from metrist.backup.moments import Moment
from metrist.backup.put_back import Targets, contents, put_back, refuse_used
from metrist.backup.repository import Damaged, Repository
from metrist.datadir import write_private
from metrist.environment import read_settings
from schema.clickhouse_client import open_clickhouse


def run(options: argparse.Namespace) -> None:
    """Read the whole moment first, then put it where nothing is. Raises StartRefused, Damaged, NotFound."""
    logs.configure(read_settings())
    repository = Repository(options.src.absolute())
    with repository.reading():
        moment = repository.find(options.at)
        damaged = repository.verify(moment)
        if damaged:
            raise Damaged(f"{moment.id} is damaged: {', '.join(damaged[:3])}; choose another with --at")
        print(f"{moment.id} is whole: {moment.taken_at:%Y-%m-%d %H:%M:%S} UTC, release {moment.release}", flush=True)
        machine.made(options.data, lambda found: _restore(repository, moment, found))


def _restore(repository: Repository, moment: Moment, found: Machine) -> None:
    if found.settings.clickhouse_cluster:
        raise StartRefused("a backup is restored into one ClickHouse; on a cluster use its own RESTORE … ON CLUSTER")
    with closing(open_clickhouse(found.settings, timeout_s=600)) as clickhouse:
        if moment.has_files and not found.has_engine:
            raise StartRefused(
                "this backup holds ClickHouse's own files, and the ClickHouse that it is to go to is another: restore"
                " it with --data into an empty folder, start that, and take a backup with --portable from there"
            )
        targets = Targets(found.settings, clickhouse)
        refuse_used(targets)
        put_back(repository, moment, targets)
    private = {file.name: b"".join(contents(repository, file)).decode() for file in moment.private}
    if found.data is not None and "agent.key" in private:
        write_private(found.data.agent_key, private["agent.key"])
    print(f"Restored {sum(table.rows for table in moment.tables)} rows, {len(moment.spool)} files of the spool")
    _tell_next(found, private.get("secret_key"))


def _tell_next(found: Machine, secret_key: str | None) -> None:
    given = found.settings.secret_key.get_secret_value()
    if secret_key is not None and secret_key != given:
        print("Start it with the METRIST_SECRET_KEY that it had: secrets of channels were sealed with it")
    if found.data is not None:
        print(f"Start it: metrist up --data {found.data.root}")
