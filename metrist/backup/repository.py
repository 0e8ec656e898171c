"""A folder of backups: objects that never change, under the names of their contents, and the moments made of them.

    objects/ab/ab12…        each once, however many moments consist of it
    moments/….json          one manifest a moment, written last: what was cut off has none, and harms no other

Everything is readable by its owner only. One process writes at a time; many may read.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from domain.errors import NotFound, StartRefused, StorageFull
from metrist.backup.moments import FORMAT, SUFFIX, Moment, Object, decode, encode

PIECE_BYTES = 1024 * 1024
_SMALL = "0123456789abcdef"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Damaged(StartRefused):
    """A backup is not what it was when it was written."""


class Repository:
    """One folder. Raises StartRefused for one that holds something else, or that another process writes to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._objects = root / "objects"
        self._moments = root / "moments"

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Make the folder if need be and write to it alone; what a killed predecessor left half-written goes."""
        self._refuse_strangers()
        try:
            for folder in (self.root, self._objects, self._moments):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = (self.root / "lock").open("a")
        except OSError as error:
            raise StartRefused(f"cannot write to {self.root}: {error.strerror}") from None
        with lock, _full_disk_told(self.root):
            _lock(lock.fileno(), fcntl.LOCK_EX, self.root)
            for left in (*self._objects.glob("new-*"), *self._moments.glob("new-*")):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            yield

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Read while nothing is pruned. Raises NotFound where there are no backups."""
        if not self._moments.is_dir():
            raise NotFound(f"there are no backups in {self.root}")
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):  # a medium that cannot be written to is pruned by nobody
                lock = held.enter_context((self.root / "lock").open("a"))
                _lock(lock.fileno(), fcntl.LOCK_SH, self.root)
            yield

    def moments(self) -> Sequence[Moment]:
        """Those that can be read, the newest first; `broken` names the others."""
        found = [decode(path.name, path.read_bytes()) for path in self._manifests()]
        return [moment for moment in reversed(found) if moment is not None and moment.format <= FORMAT]

    def broken(self) -> Sequence[str]:
        """Manifests that say something else than they did, or that only a newer release understands."""
        known = {encode(moment)[0] for moment in self.moments()}
        return [path.name for path in self._manifests() if path.name not in known]

    def find(self, asked: str | None) -> Moment:
        """The moment whose id begins with what was asked for, or the newest. Raises NotFound."""
        for moment in self.moments():
            if moment.id.startswith(asked or ""):
                return moment
        which = f"of {asked}" if asked else "that can be read"
        raise NotFound(f"{self.root} has no moment {which}; see `metrist backup {self.root} --list`")

    def put(self, pieces: Iterable[bytes]) -> Object:
        """Keep what comes as one object; what is there already is kept once."""
        digest, size = hashlib.sha256(), 0
        new = self._objects / f"new-{secrets.token_hex(8)}"
        with _private(new) as fd:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                _write(fd, piece)
            os.fsync(fd)
        kept = Object(digest.hexdigest(), size)
        path = self._path(kept)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        new.replace(path)
        _sync_folder(path.parent)
        return kept

    def has(self, kept: Object) -> bool:
        """Whether the object is there, in its full size; only `verify` reads it."""
        with contextlib.suppress(FileNotFoundError):
            return self._path(kept).stat().st_size == kept.bytes
        return False

    def read(self, kept: Object) -> Iterator[bytes]:
        """An object's contents, piece by piece. Raises Damaged at the end of one that is not what it was."""
        digest = hashlib.sha256()
        try:
            with self._path(kept).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    digest.update(piece)
                    yield piece
        except FileNotFoundError:
            raise Damaged(f"object {kept.sha256} is missing from {self.root}") from None
        if digest.hexdigest() != kept.sha256:
            raise Damaged(f"object {kept.sha256} in {self.root} is damaged")

    def seal(self, moment: Moment) -> None:
        """Write the manifest; with that the moment is there, whole."""
        _sync_folder(self._objects)
        name, text = encode(moment)
        new = self._moments / f"new-{secrets.token_hex(8)}"
        with _private(new) as fd:
            _write(fd, text)
            os.fsync(fd)
        new.replace(self._moments / name)
        _sync_folder(self._moments)

    def verify(self, moment: Moment) -> Sequence[str]:
        """Read all that a moment consists of; says what is damaged, by file, or nothing."""
        bad = {kept.sha256 for kept in moment.objects().values() if not self._is_sound(kept)}
        return [name for name, objects in _uses(moment) if not bad.isdisjoint(each.sha256 for each in objects)]

    def prune(self, keep: int) -> int:
        """Forget all but the newest moments, and the objects that none needs; returns how many bytes that freed.

        Nothing is removed while a manifest cannot be read: nobody knows what it needs.
        """
        if self.broken():
            return 0
        for moment in self.moments()[keep:]:
            (self._moments / encode(moment)[0]).unlink()
        _sync_folder(self._moments)
        needed = {sha256 for moment in self.moments() for sha256 in moment.objects()}
        return sum(_remove(path) for path in self._stored() if path.name not in needed)

    def _manifests(self) -> Sequence[Path]:
        return sorted(self._moments.glob(f"*{SUFFIX}"))

    def _stored(self) -> Iterator[Path]:
        for first in _SMALL:
            for second in _SMALL:
                yield from (self._objects / f"{first}{second}").glob("*")

    def _path(self, kept: Object) -> Path:
        return self._objects / kept.sha256[:2] / kept.sha256

    def _is_sound(self, kept: Object) -> bool:
        try:
            for _ in self.read(kept):
                pass
        except (Damaged, OSError):
            return False
        return True

    def _refuse_strangers(self) -> None:
        if not self.root.exists():
            return
        if not self.root.is_dir():
            raise StartRefused(f"{self.root} is not a folder")
        strange = {path.name for path in self.root.iterdir()} - {"objects", "moments", "lock", "lost+found"}
        if strange:
            raise StartRefused(f"{self.root} holds other things, such as {min(strange)}: name a folder of its own")


def _uses(moment: Moment) -> Iterator[tuple[str, Sequence[Object]]]:
    """What a moment's objects are for, in words."""
    yield "control DB", moment.control.objects
    for table in moment.tables:
        for part in table.parts:
            yield f"ClickHouse {table.name} part {part.name} ({part.rows} rows)", [part.object]
    for kind, files in (("spool", moment.spool), ("private", moment.private)):
        for file in files:
            yield f"{kind} {file.name}", file.objects


@contextlib.contextmanager
def _private(path: Path) -> Iterator[int]:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        yield fd
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


@contextlib.contextmanager
def _full_disk_told(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageFull(f"{root} is full; the moments that were there are as they were") from None


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _remove(path: Path) -> int:
    size = path.stat().st_size
    path.unlink()
    return size


def _lock(fd: int, kind: int, root: Path) -> None:
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartRefused(f"another process is at work in {root}; try again when it has ended") from None
    except OSError as error:
        raise StartRefused(f"{root} cannot be locked ({error.strerror}): name a folder on a disk that can") from None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
