"""Files for monitors: in the folders that are allowed, wherever links lead, and never more than a little of them."""

import os
import stat as modes
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.sandbox import Refused, Unable

READ_MAX_BYTES = 262_144
LINES = 10
LINES_MAX = 2_000
TAILS_MAX = 100


def stat(args: Mapping[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """`kind` (file, folder or other), `size` in bytes, `modified_at` (Unix s) and `age_s`."""
    found = _real(str(args["path"]), folders).stat()
    kind = "file" if modes.S_ISREG(found.st_mode) else "folder" if modes.S_ISDIR(found.st_mode) else "other"
    return {
        "kind": kind,
        "size": found.st_size,
        "modified_at": found.st_mtime,
        "age_s": max(0.0, time.time() - found.st_mtime),
    }


class Tails:
    """The ends of files, and how far each was read."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = folders
        self._read_to: dict[Path, tuple[int, int]] = {}

    def tail(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """`lines`, oldest first: the last ones, or with `since_last` those added since it was asked before.

        The first time nothing was added. `skipped` are bytes that were added and are too many to read.
        """
        path = _real(str(args["path"]), self._folders)
        with _opened(path) as (file, found):
            size = found.st_size
            if not args.get("since_last"):
                start, skipped = max(0, size - READ_MAX_BYTES), 0
            else:
                start, skipped = self._added(path, found.st_ino, size)
            data = os.pread(file, min(size - start, READ_MAX_BYTES), start)
        if args.get("since_last"):
            whole = data[: data.rfind(b"\n") + 1]  # what is still being written is for the next time
            self._note(path, found.st_ino, start + len(whole))
            return {"lines": _lines(whole, LINES_MAX), "skipped": skipped}
        count = args.get("lines", LINES)
        return {"lines": _lines(data, min(max(int(count), 1), LINES_MAX)), "skipped": 0}

    def _added(self, path: Path, inode: int, size: int) -> tuple[int, int]:
        known_inode, read_to = self._read_to.get(path, (inode, size))
        if known_inode != inode or read_to > size:  # the log was rotated, or cut
            read_to = 0
        start = max(read_to, size - READ_MAX_BYTES)
        return start, start - read_to

    def _note(self, path: Path, inode: int, read_to: int) -> None:
        if path not in self._read_to and len(self._read_to) >= TAILS_MAX:
            self._read_to.pop(next(iter(self._read_to)))
        self._read_to[path] = (inode, read_to)


def _lines(data: bytes, count: int) -> list[str]:
    return [line.decode(errors="replace") for line in data.splitlines()[-count:]]


def _real(path: str, folders: Sequence[Path]) -> Path:
    """Where a path leads, links followed; raises Refused when that is outside of what is allowed."""
    if not path.startswith("/") or "\0" in path:
        raise Unable("a path begins with /")
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(folder) for folder in folders):
        raise Refused(f"this node allows files in {', '.join(map(str, folders))} only, not {path}")
    if real.is_relative_to("/proc") and not any(folder.is_relative_to("/proc") for folder in folders):
        raise Refused("/proc tells secrets of processes; allow it by its name if that is meant")
    return real


@contextmanager
def _opened(path: Path) -> Iterator[tuple[int, os.stat_result]]:
    """A regular file, and its facts; opening one must neither wait nor follow a link that was put there since."""
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        found = os.fstat(file)
        if not modes.S_ISREG(found.st_mode):
            raise Unable(f"{path} is no file")
        link = Path(f"/proc/self/fd/{file}")
        if link.exists() and Path(os.readlink(link)) != path:  # noqa: PTH115  # as it is, also of a deleted file
            raise Refused(f"{path} was moved while it was opened")
        yield file, found
    finally:
        os.close(file)
