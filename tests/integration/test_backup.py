"""Backups of real stores: everything once, as of one moment, found damaged when it is, and kept through a kill -9."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from domain.errors import NotFound, StartRefused, StoreUnavailable
from domain.nodes import Said
from domain.settings import Settings
from metrist import cli
from metrist.backup.moments import Moment
from metrist.backup.put_back import Targets, put_back, refuse_used
from metrist.backup.repository import Damaged, Repository
from metrist.backup.take import Sources, take
from schema import accounts, event_copies, migrate, nodes, samples, spool
from schema.clickhouse_client import ClickHouse
from schema.clones import Clones
from schema.control.engine import open_control
from schema.drain import Drain
from schema.hold import Hold
from schema.rebuild import rebuild
from schema.spool import Spool
from tests.clickhouse_server import Server

NOW = datetime.now(UTC)
KEPT = {"raw_retention_days": 10_000, "minute_retention_days": 10_000, "hour_retention_days": 10_000}
TIERS = ("count() FROM samples", "sum(count) FROM samples_1m", "sum(count) FROM samples_1h")


def address(server: Server, database: str) -> str:
    password = server.password.replace(" ", "%20")
    return f"http://{server.username}:{password}@{server.host}:{server.port}/{database}"


@dataclass
class Place:
    """One set of stores: a ClickHouse database, a control DB and a folder of spools."""

    url: str
    folder: Path
    clickhouse: ClickHouse = field(init=False)

    def __post_init__(self) -> None:
        self.clickhouse = ClickHouse(self.url)

    @property
    def settings(self) -> Settings:
        control = f"sqlite:///{self.folder}/control.db"
        return Settings(clickhouse_url=self.url, database_url=control, spool_dir=self.folder / "spool", **KEPT)  # type: ignore[arg-type]

    def counts(self) -> list[int]:
        """How many samples each tier has."""
        return [int(str(self.clickhouse.command(f"SELECT {tier}"))) for tier in TIERS]

    def sums(self) -> dict[str, tuple[int, int]]:
        """Of every table: how many rows it has when all is merged, and a checksum of all their values."""
        found = {}
        for table in Clones(self.clickhouse).tables():
            if table.keeps:
                final = "" if table.engine == "MergeTree" else "FINAL"
                sql = f"SELECT count(), sum(cityHash64(toString(tuple(*)))) FROM {table.name} {final}"
                found[table.name] = self.clickhouse.query(sql).result_rows[0]
        return found

    def insert(self, token: str, *, metrics: int = 3, ts_s: float = 0) -> None:
        """A segment of one node with so many samples."""
        samples.insert(self.clickhouse, line(token, metrics, ts_s or NOW.timestamp()), token)

    def opened_spool(self) -> Spool:
        return Spool(spool.claim_folder(self.folder / "spool"), max_bytes=10**8, segment_samples=10**6)


def line(node: str, metrics: int, ts_s: float) -> bytes:
    snapshot = {"node": node, "ts": ts_s, "metrics": {f"m{n}{{of={json.dumps(node)}}}": n / 10 for n in range(metrics)}}
    return json.dumps({"account": str(uuid4()), "batch": "", "snapshots": [snapshot]}).encode() + b"\n"


@pytest.fixture
def source(
    clickhouse_server: Server, clickhouse_database: str, sqlite_control: Engine, tmp_path: Path
) -> Iterator[Place]:
    """A platform's stores, with something in every table."""
    place = Place(address(clickhouse_server, clickhouse_database), tmp_path)
    migrate.upgrade(place.clickhouse, place.settings)
    (tmp_path / "spool").mkdir()
    for month in range(1, 7):
        place.insert(f"segment-{month}", ts_s=datetime(2026, month, 3, 12, 30, tzinfo=UTC).timestamp())
    account = accounts.create(sqlite_control, "home", "owner@example.org", NOW)
    nodes.meet(sqlite_control, account.id, {"web-1": Said("i1"), "web-2": Said("i2")}, NOW)
    found, names = event_copies.next_after(sqlite_control, 0, 10)
    event_copies.insert(place.clickhouse, found, names)
    for table, (count, _) in place.sums().items():
        if not count:
            # of all times: what has had its time goes at once, and not between two looks
            place.clickhouse.command(f"INSERT INTO {table} SELECT * FROM generateRandom() LIMIT 50")
            place.clickhouse.command(f"OPTIMIZE TABLE {table} FINAL")
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


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "backups")


def back_up(
    repository: Repository, source: Place, said: Callable[[str], None] = str, *, portable: bool = False
) -> Moment:
    control = open_control(source.settings.database_url.get_secret_value())
    try:
        with repository.writing():
            about = Sources(source.clickhouse, control, source.settings.spool_dir, {"secret_key": b"abc"}, portable)
            return take(repository, about, said)
    finally:
        control.dispose()


def restore(repository: Repository, moment: Moment, target: Place) -> None:
    targets = Targets(target.settings, target.clickhouse)
    refuse_used(targets)
    put_back(repository, moment, targets)


def objects(repository: Repository) -> set[Path]:
    return {path for path in (repository.root / "objects").rglob("*") if path.is_file()}


@pytest.mark.parametrize("portable", [False, True], ids=["files", "rows"])
def test_every_row_of_every_table_comes_back(
    source: Place, target: Place, repository: Repository, portable: bool
) -> None:
    moment = back_up(repository, source, portable=portable)
    assert repository.verify(moment) == []
    restore(repository, moment, target)
    assert target.sums() == source.sums()
    assert min(count for count, _ in target.sums().values()) > 0
    assert target.counts() == [18, 18, 18]
    migrate.check(target.clickhouse)
    target.insert("after", metrics=2)
    assert target.counts() == [20, 20, 20]
    control = open_control(target.settings.database_url.get_secret_value())
    assert rebuild(control).is_identical and [account.name for account in accounts.list_all(control)] == ["home"]
    control.dispose()
    with pytest.raises(StartRefused, match="not empty"):
        restore(repository, moment, target)


def test_what_was_acknowledged_is_there_once_wherever_it_was(
    source: Place, target: Place, repository: Repository
) -> None:
    """In ClickHouse but not yet removed from the spool; sealed; in the open segment, with a tail that was cut off."""
    opened = source.opened_spool()
    asyncio.run(append_sealed(opened, "stored"))
    samples.insert(source.clickhouse, opened.sealed()[0].path.read_bytes(), opened.sealed()[0].token)
    asyncio.run(append_sealed(opened, "sealed"))
    asyncio.run(opened.append(record("open")))
    (path,) = opened.folder.glob("*.open")
    with path.open("ab") as torn:
        torn.write(line("torn", 3, 1)[:40])
    moment = back_up(repository, source)
    assert [Path(file.name).suffix for file in moment.spool] == [".open"]
    opened.close()
    restore(repository, moment, target)
    drain(target)
    assert target.counts() == [18 + 9] * 3


def record(node: str) -> spool.Record:
    snapshots = json.loads(line(node, 3, NOW.timestamp()))["snapshots"]
    return spool.record(str(uuid4()), f"batch of {node}", json.dumps(snapshots).encode(), 3)


async def append_sealed(opened: Spool, node: str) -> None:
    token = await opened.append(record(node))
    opened.seal()
    while not (opened.folder / f"{token}{spool.SUFFIX}").exists():  # noqa: ASYNC110  # a thread does it
        await asyncio.sleep(0.01)


def drain(place: Place) -> None:
    """What the next API process does with what lies in the spool."""
    opened = place.opened_spool()
    drained = Drain(opened, place.clickhouse, 0.1, lambda token: None, lambda token, found: None)
    drained.start()
    drained.stop(30)
    assert opened.sealed() == []
    opened.close()


def test_inserts_rest_while_it_is_held_and_appends_do_not(source: Place) -> None:
    opened = source.opened_spool()
    drained = Drain(opened, source.clickhouse, 0.05, lambda token: None, lambda token, found: None)
    drained.start()
    with Hold(source.settings.spool_dir).alone(10):
        before = source.counts()
        asyncio.run(append_sealed(opened, "waits"))
        asyncio.run(asyncio.sleep(0.3))
        assert source.counts() == before and len(opened.sealed()) == 1
        with pytest.raises(StoreUnavailable, match="another backup"), Hold(source.settings.spool_dir).alone(0.05):
            pass
    drained.stop(30)
    assert source.counts() == [count + 3 for count in before]
    opened.close()


def test_a_second_backup_copies_only_what_is_new(source: Place, repository: Repository) -> None:
    first = back_up(repository, source)
    kept = objects(repository)
    again = back_up(repository, source)
    assert objects(repository) == kept, "nothing had changed"
    source.insert("one more")
    second = back_up(repository, source)
    parts = [part for table in second.tables for part in table.parts]
    known = {part.object.sha256 for table in first.tables for part in table.parts}
    new = [part for part in parts if part.object.sha256 not in known]
    assert 0 < len(new) < len(parts) / 2
    assert [moment.id for moment in repository.moments()] == [second.id, again.id, first.id]


def test_a_flipped_bit_is_found_wherever_it_is(source: Place, target: Place, repository: Repository) -> None:
    moment = back_up(repository, source)
    for path in objects(repository):
        with flipped(path):
            assert repository.verify(moment), f"{path} is damaged, and nobody noticed"
    assert repository.verify(moment) == []
    (manifest,) = (repository.root / "moments").iterdir()
    with flipped(manifest):
        assert repository.broken() == [manifest.name] and repository.moments() == []
        assert repository.prune(0) == 0, "nobody knows what an unreadable manifest needs"
    part = next(part for table in moment.tables for part in table.parts)
    (gone,) = (path for path in objects(repository) if path.name == part.object.sha256)
    gone.rename(gone.with_name("elsewhere"))
    assert len(repository.verify(moment)) >= 1
    with pytest.raises(Damaged):
        restore(repository, moment, target)


class flipped:
    """One bit in the middle of a file is another, for a while."""

    def __init__(self, path: Path) -> None:
        self._path, self._before = path, path.read_bytes()

    def __enter__(self) -> None:
        middle = len(self._before) // 2
        changed = bytes([self._before[middle] ^ 4])
        self._path.write_bytes(self._before[:middle] + changed + self._before[middle + 1 :])

    def __exit__(self, *_: object) -> None:
        self._path.write_bytes(self._before)


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from metrist.backup.repository import Repository
    from metrist.backup.take import Sources, take
    from schema.clickhouse_client import ClickHouse
    from schema.control.engine import open_control

    def die(words):
        (root / "objects" / "new-half").write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)

    url, folder, root = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    repository = Repository(root)
    sources = Sources(ClickHouse(url), open_control(f"sqlite:///{folder}/control.db"), folder / "spool", {})
    with repository.writing():
        take(repository, sources, die)
"""


def test_a_kill_in_the_middle_leaves_the_last_good_one(source: Place, target: Place, repository: Repository) -> None:
    good = back_up(repository, source)
    before = source.sums()
    source.insert("later")
    command = [sys.executable, "-c", textwrap.dedent(KILLED), source.url, str(source.folder), str(repository.root)]
    assert subprocess.run(command, env=os.environ, check=False).returncode == -signal.SIGKILL
    assert [moment.id for moment in repository.moments()] == [good.id]
    assert repository.verify(good) == []
    restore(repository, good, target)
    assert target.sums() == before
    after = back_up(repository, source)
    assert repository.verify(after) == [] and not list((repository.root / "objects").glob("new-*"))
    clones = Clones(source.clickhouse)
    sql = f"SELECT count() FROM system.databases WHERE name = '{clones.database}'"
    assert source.clickhouse.query(sql).result_rows == [(0,)], "clones of a killed backup keep space"


def test_clones_that_were_forgotten_go_and_those_in_use_stay(source: Place) -> None:
    clones = Clones(source.clickhouse)
    clones.prepare(clones.tables())
    clones.fill(clones.tables())
    clones.drop_forgotten()
    assert clones.parts("samples")
    clones.drop_forgotten(after_s=-1)
    assert not clones.parts("samples") and source.counts() == [18] * 3


def test_only_the_newest_moments_are_kept_and_what_they_need(source: Place, repository: Repository) -> None:
    source.insert("what is merged with more later", metrics=50)
    taken = [back_up(repository, source)]
    for number in range(2):
        source.insert(f"more-{number}", metrics=50)
        source.clickhouse.command("OPTIMIZE TABLE samples FINAL")
        taken.append(back_up(repository, source))
    assert repository.prune(2) > 0
    assert [moment.id for moment in repository.moments()] == [taken[2].id, taken[1].id]
    assert damaged(repository, taken[1:]) == []
    needed = {sha256 for moment in taken[1:] for sha256 in moment.objects()}
    assert {path.name for path in objects(repository)} == needed
    with pytest.raises(NotFound, match="--list"):
        repository.find(taken[0].id)
    assert repository.find(taken[1].id[:19]).id == taken[1].id


def damaged(repository: Repository, moments: Sequence[Moment]) -> list[str]:
    return [what for moment in moments for what in repository.verify(moment)]


def test_a_backup_is_its_owners_alone_and_goes_into_a_folder_of_its_own(
    source: Place, repository: Repository, tmp_path: Path
) -> None:
    back_up(repository, source)
    for path in (repository.root, *repository.root.rglob("*")):
        assert not path.stat().st_mode & 0o077 or path.name == "lock", path
    with repository.writing(), pytest.raises(StartRefused, match="another process"):
        back_up(repository, source)
    with pytest.raises(StartRefused, match="holds other things"):
        back_up(Repository(tmp_path), source)
    with pytest.raises(NotFound), Repository(tmp_path / "nothing").reading():
        pass


def test_the_commands_take_the_stores_that_the_environment_names(
    source: Place,
    target: Place,
    repository: Repository,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(repository.root)
    use(monkeypatch, source, secret_key="sealed with this")
    assert cli.main(["backup", folder]) == 0
    assert cli.main(["backup", folder, "--keep", "1"]) == 0
    (moment,) = repository.moments()
    assert {part.form for table in moment.tables for part in table.parts} == {"rows"}, "its files may be nobody's here"
    assert cli.main(["backup", folder, "--list"]) == cli.main(["backup", folder, "--verify"]) == 0
    assert f"{moment.id}: whole" in capsys.readouterr().out
    with flipped(min(objects(repository))):
        assert cli.main(["backup", folder, "--verify"]) == cli.main(["restore", folder]) == 1
        assert "DAMAGED" in capsys.readouterr().out
    use(monkeypatch, target)
    files = Repository(repository.root.with_name("files"))
    back_up(files, source)
    assert cli.main(["restore", str(files.root)]) == 1
    assert "--portable" in capsys.readouterr().err and target.clickhouse.query("SHOW TABLES").result_rows == []
    assert cli.main(["restore", folder]) == 0
    assert "METRIST_SECRET_KEY" in capsys.readouterr().out
    assert target.sums() == source.sums()
    assert cli.main(["restore", folder]) == 1
    assert "is not empty" in capsys.readouterr().err


def use(monkeypatch: pytest.MonkeyPatch, place: Place, secret_key: str = "") -> None:
    monkeypatch.setenv("METRIST_CLICKHOUSE_URL", place.url)
    monkeypatch.setenv("METRIST_DATABASE_URL", f"sqlite:///{place.folder}/control.db")
    monkeypatch.setenv("METRIST_SPOOL_DIR", str(place.folder / "spool"))
    monkeypatch.setenv("METRIST_SECRET_KEY", secret_key)
    for tier in ("RAW", "MINUTE", "HOUR"):
        monkeypatch.setenv(f"METRIST_{tier}_RETENTION_DAYS", "10000")
