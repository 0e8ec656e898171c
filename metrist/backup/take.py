"""Take a backup of a running platform: everything as of one moment, while agents go on posting.

The moment is a short one. INSERTs rest, what lay in the spool goes into ClickHouse, the tables are cloned by hard
links, the spool's files are opened and a transaction on the control DB begins. From then on all of it stays what it
was, INSERTs go on, and copying takes as long as it takes.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy import Engine

from domain.errors import StoreUnavailable
from metrist.backup import packing
from metrist.backup.moments import File, Moment, Part, Table
from metrist.backup.repository import Repository
from schema import samples, spool_files
from schema.clickhouse_client import ClickHouse, DatabaseError
from schema.clones import Clones, Kept, PartSeen, wait_quiet
from schema.control import copies
from schema.control import migrate as control_migrate
from schema.control.copies import Pinned
from schema.hold import Hold
from schema.spool_files import Taken

log = structlog.get_logger()
_BACKLOG_BYTES = 64 * 1024 * 1024
"""So much of the spool is inserted within the moment; with more, we wait until the API has inserted it."""
_BACKLOG_WITHIN_S = 600.0
_REST_WITHIN_S = 60.0
_LISTINGS = 100
_LOOK_EVERY_S = 0.2


@dataclass(frozen=True)
class Sources:
    """What there is to back up.

    private     name → contents of the operator's secrets
    portable    rows of ClickHouse instead of its files, to be restored into any ClickHouse
    """

    clickhouse: ClickHouse
    control: Engine
    spool: Path
    private: Mapping[str, bytes]
    portable: bool = False


@dataclass(frozen=True)
class _Still:
    """The platform at rest: it stays what it was until it is let go of."""

    taken_at: datetime
    held_s: float
    tables: Sequence[Kept]
    spool: Sequence[Taken]
    control: Pinned
    revision: str


def take(repository: Repository, sources: Sources, said: Callable[[str], None]) -> Moment:
    """Write one more moment; the repository is being written to by us. Raises StoreUnavailable, StorageFull."""
    clones = Clones(sources.clickhouse)
    with _still(sources, clones) as still:
        said(f"{still.taken_at:%Y-%m-%d %H:%M:%S} UTC is the moment; INSERTs waited {still.held_s * 1000:.0f} ms")
        moment = Moment(
            taken_at=still.taken_at,
            release=version("metrist"),
            clickhouse=clones.version(),
            revision=still.revision,
            held_s=round(still.held_s, 3),
            control=_keep_control(repository, still.control),
            tables=_Tables(repository, clones, portable=sources.portable).keep(still.tables),
            spool=tuple(_keep(repository, taken.name, taken.read()) for taken in still.spool),
            private=tuple(_keep(repository, name, [contents]) for name, contents in sorted(sources.private.items())),
        )
    repository.seal(moment)
    return moment


@contextlib.contextmanager
def _still(sources: Sources, clones: Clones) -> Iterator[_Still]:
    tables = clones.tables()
    revision = control_migrate.current(sources.control) or ""
    _wait_for_backlog(sources.spool)
    with contextlib.ExitStack() as let_go:
        let_go.callback(clones.drop)
        clones.prepare(tables)
        with Hold(sources.spool).alone(_REST_WITHIN_S) as held_s:
            wait_quiet(sources.clickhouse)
            inserted = _insert_sealed(sources)
            clones.fill(tables)
            taken_at = datetime.now(UTC)
            spool = [taken for taken in spool_files.take(sources.spool) if Path(taken.name).stem not in inserted]
            for taken in spool:
                let_go.callback(taken.close)
            control = let_go.enter_context(copies.pinned(sources.control))
            lasted_s = held_s()
        yield _Still(taken_at, lasted_s, tables, spool, control, revision)


def _wait_for_backlog(spool: Path) -> None:
    until = time.monotonic() + _BACKLOG_WITHIN_S
    while (waiting := spool_files.backlog_bytes(spool)) > _BACKLOG_BYTES:
        if time.monotonic() > until:
            raise StoreUnavailable(f"The spool still has {waiting >> 20} MiB to insert: ClickHouse does not keep up")
        time.sleep(_LOOK_EVERY_S)


def _insert_sealed(sources: Sources) -> set[str]:
    """Have ClickHouse take every sealed segment, and say which it has.

    One may be there already, wholly or in some of the tables: its INSERT was cut off, or its removal was. Under its
    token that adds nothing where it is. Clones remember no tokens, so in the backup it must be in one place only.
    """
    inserted: set[str] = set()
    for _ in range(_LISTINGS):
        waiting = [path for path in spool_files.sealed(sources.spool) if path.stem not in inserted]
        missed = [path for path in waiting if not _insert(sources.clickhouse, path, inserted)]
        if not missed:
            break
    return inserted


def _insert(clickhouse: ClickHouse, path: Path, inserted: set[str]) -> bool:
    """Insert one segment; False when it is somewhere else by now: a process that starts takes over what others left."""
    try:
        samples.insert(clickhouse, path.read_bytes(), path.stem)
    except FileNotFoundError:
        return False
    except DatabaseError as error:  # the API sets it aside, line by line; until then it is backed up as it is
        log.warning("segment_not_inserted", segment=path.stem, error=str(error)[:300])
    else:
        inserted.add(path.stem)
    return True


def _keep_control(repository: Repository, control: Pinned) -> File:
    with tempfile.TemporaryDirectory(dir=repository.root / "objects", prefix="new-") as folder:
        file = Path(folder) / "control.db"
        control.write(file)
        return _keep(repository, file.name, packing.read(file))


def _keep(repository: Repository, name: str, contents: Iterator[bytes] | Sequence[bytes]) -> File:
    kept, size = [], 0
    for piece in packing.pieces(contents):
        size += len(piece)
        kept.append(repository.put(packing.pack([piece])))
    return File(name, size, tuple(kept))


class _Tables:
    """Copies the parts of cloned tables that no earlier moment has."""

    def __init__(self, repository: Repository, clones: Clones, *, portable: bool) -> None:
        self._repository = repository
        self._clones = clones
        self._portable = portable
        self._known = {
            (table.name, part.digest, part.form): part.object
            for moment in repository.moments()
            for table in moment.tables
            for part in table.parts
        }

    def keep(self, tables: Sequence[Kept]) -> tuple[Table, ...]:
        """Every table, with the parts of those that have rows."""
        return tuple(Table(each.name, each.engine, each.sql, self._parts(each)) for each in tables)

    def _parts(self, table: Kept) -> tuple[Part, ...]:
        if not table.keeps:
            return ()
        return tuple(self._part(table.name, part) for part in self._clones.parts(table.name))

    def _part(self, table: str, part: PartSeen) -> Part:
        """By files where they are at hand, which costs no CPU and keeps them as small as they are; else by rows."""
        form = "files" if not self._portable and part.path.is_dir() else "rows"
        known = self._known.get((table, part.digest, form))
        if known is None or not self._repository.has(known):
            contents = packing.tar(part.path) if form == "files" else packing.pack(self._clones.rows(table, part.name))
            known = self._repository.put(contents)
        return Part(part.name, part.partition, part.digest, part.rows, form, known)
