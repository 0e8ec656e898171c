"""A batch of snapshots as a file: one snapshot a line, complete or not at all."""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Batch:
    """Snapshots that are sent together, under an id that stays the same however often they are sent."""

    number: int
    id: str
    snapshots: int
    size_bytes: int
    lines: bytes | None = None
    """The snapshots themselves, only where the disk could not take them."""

    @property
    def file_name(self) -> str:
        return f"{self.number:012d}-{self.id}.ndjson"


class OpenBatch:
    """The newest batch, whose file still grows."""

    def __init__(self, batch: Batch, folder: Path) -> None:
        """Raises OSError."""
        self.batch = batch
        self._file = os.open(folder / batch.file_name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, line: bytes) -> None:
        """Add a line, whole; raises OSError, and then what was written of it lies past the batch's size."""
        written = os.write(self._file, line)
        if written < len(line):  # the disk is full; a second write would say so
            raise OSError(0, "the disk took only a part of a snapshot")
        self.batch = replace(
            self.batch, snapshots=self.batch.snapshots + 1, size_bytes=self.batch.size_bytes + len(line)
        )

    def close(self) -> None:
        """End the file where the batch ends."""
        try:
            os.ftruncate(self._file, self.batch.size_bytes)
        finally:
            os.close(self._file)


def write(path: Path, data: bytes) -> None:
    """Make or replace a file in one step, so that nobody ever reads a part of it; raises OSError."""
    new = path.with_suffix(".new")
    try:
        new.write_bytes(data)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise


def recover(folder: Path) -> list[Batch]:
    """The batches an earlier process left, oldest first, without lines it died writing."""
    for unfinished in folder.glob("*.new"):
        unfinished.unlink()
    batches = [_recovered(path) for path in sorted(folder.glob("[0-9]*-*.ndjson"))]
    return [batch for batch in batches if batch is not None]


def _recovered(path: Path) -> Batch | None:
    number, _, batch_id = path.stem.partition("-")
    data = path.read_bytes()
    lines = [line + b"\n" for line in data.split(b"\n")[:-1] if _is_object(line)]
    whole = b"".join(lines)
    if len(whole) < len(data):
        log.warning("%s ended in the middle of a snapshot: %d bytes dropped", path.name, len(data) - len(whole))
        write(path, whole)
    if not lines:
        path.unlink()
        return None
    return Batch(int(number), batch_id, snapshots=len(lines), size_bytes=len(whole))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(line), dict)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
