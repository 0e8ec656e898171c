"""Bytes that wait, outside our own memory: an insert's data until chDB reads it, an answer until it is whole."""

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

IN_MEMORY_BYTES = 64 << 20
"""Larger bodies go to disk. A second's ingest is some 14 MB."""


class Spool:
    """A file without a name that chDB can open: in memory while small, else in the given folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._fd = os.memfd_create("spool")
        self.size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def path(self) -> str:
        """How chDB opens it, while it is not closed."""
        return f"/dev/fd/{self._fd}"

    def write(self, data: bytes | memoryview) -> None:
        """Append."""
        if self._file is None and self.size + len(data) > IN_MEMORY_BYTES:
            self._spill()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._fd, rest) :]
        self.size += len(data)

    def read(self, at: int, size: int) -> bytes:
        """Read a part again."""
        return os.pread(self._fd, size, at)

    def close(self) -> None:
        """Forget the data."""
        if self._file is not None:
            self._file.close()
        elif self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _spill(self) -> None:
        """Move what came so far to disk."""
        file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        done = 0
        while done < self.size:
            done += os.sendfile(file.fileno(), self._fd, done, self.size - done)
        os.close(self._fd)
        self._file, self._fd = file, file.fileno()
