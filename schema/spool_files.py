"""The spools' files as a backup takes them: what is acknowledged and not yet in ClickHouse."""

import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from schema.spool import SUFFIX

_TRIES = 100
_PIECE_BYTES = 1024 * 1024
_FOLDERS = "[0-9][0-9]"


@dataclass(frozen=True)
class Taken:
    """A file of a spool, opened: it may be renamed or removed, its first `size_bytes` stay what they are.

    name    below the spools' folder
    """

    name: str
    fd: int
    size_bytes: int

    def read(self) -> Iterator[bytes]:
        """Its contents as of when it was taken; what was appended since is left out."""
        place = 0
        while piece := os.pread(self.fd, min(_PIECE_BYTES, self.size_bytes - place), place):
            place += len(piece)
            yield piece

    def close(self) -> None:
        """Let go of it."""
        os.close(self.fd)


def sealed(folder: Path) -> Sequence[Path]:
    """Segments of every spool below a folder that wait for their INSERT, oldest first."""
    return sorted(folder.glob(f"{_FOLDERS}/*{SUFFIX}"), key=lambda path: path.name)


def backlog_bytes(folder: Path) -> int:
    """How much of them there is; a segment that goes meanwhile counts nothing."""
    return sum(_size(path) for path in sealed(folder))


def take(folder: Path) -> Sequence[Taken]:
    """Open every file of every spool, under `Hold.alone`: whatever was acknowledged before the call is in them.

    Meanwhile segments are opened and sealed, that is renamed, and a spool that its process left may be moved into
    another: a segment that has gone from its place is looked for again, under any name.
    """
    _raise_limit()
    found: dict[str, Taken] = {}
    for _ in range(_TRIES):
        missed = [path for path in _files(folder) if not _open(path, folder, found)]
        if not missed:
            break
    return sorted(found.values(), key=lambda taken: taken.name)


def place(folder: Path, name: str, contents: Iterator[bytes]) -> None:
    """Put a taken file into an empty spool; the process that finds it there inserts what is whole of it."""
    path = folder / name
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for piece in contents:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def is_empty(folder: Path) -> bool:
    """Whether nothing is spooled below it."""
    return next(_files(folder), None) is None


def _files(folder: Path) -> Iterator[Path]:
    for own in sorted(folder.glob(_FOLDERS)):
        yield from (path for path in sorted(own.rglob("*")) if path.name != "lock" and not path.is_dir())


def _open(path: Path, folder: Path, found: dict[str, Taken]) -> bool:
    """Take a file once, by its stem and folder's kind; False when it is not there any more."""
    key = f"{path.parent.name if path.parent.parent != folder else ''}/{_stem(path)}"
    if key in found:
        return True
    try:
        fd = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    found[key] = Taken(str(path.relative_to(folder)), fd, os.fstat(fd).st_size)
    return True


def _stem(path: Path) -> str:
    """A segment's name is the same while it is open and when it is sealed; its list of batches is another file."""
    return path.stem if path.suffix in (SUFFIX, ".open") else path.name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _raise_limit() -> None:
    """A spool that is full has more segments than a process may open by default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
