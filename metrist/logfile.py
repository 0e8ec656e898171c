"""A child's output on disk, bounded."""

from pathlib import Path
from typing import BinaryIO


class LogFile:
    """NAME.log and, when that is full, one older NAME.log.1: never more than twice `max_bytes`.

    A full disk must not stop the supervisor that writes here: then lines are dropped.
    """

    def __init__(self, path: Path, max_bytes: int = 8_388_608) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Append what the child said, and turn the page when it is full."""
        try:
            file = self._file or self._open()
            file.write(data)
            if file.tell() >= self._max_bytes:
                self.close()
                self._path.replace(self._path.with_name(self._path.name + ".1"))
        except OSError:
            self.close()

    def close(self) -> None:
        """Let go of the file; the next write opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> BinaryIO:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._path.open("ab", buffering=0)
        return self._file
