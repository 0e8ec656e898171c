"""Snapshots on disk until the server has them.

One file is one batch: `<number>-<batch id>.ndjson`, one snapshot a line. The newest file is open and grows; before a
batch is sent for the first time it is closed, and from then on neither its id nor its contents change. So a batch
that is sent again, also by the next process, is the same batch, and the server counts it once.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Lock
from uuid import uuid4

from agent.batch import Batch, OpenBatch, recover, write
from agent.seldom import Seldom

BATCH_SNAPSHOTS = 500
BATCH_BYTES = 1_000_000
MEMORY_BYTES = 1_000_000
REJECTED_KEPT = 5


class Buffer:
    """Bounded: when it is full the oldest batch makes room. Safe to use from several threads."""

    def __init__(self, folder: Path, rejected_folder: Path, max_bytes: int) -> None:
        """Takes over what an earlier process left in the folder, without the line it may have died writing."""
        self._folder = folder
        self._rejected_folder = rejected_folder
        self._max_bytes = max_bytes
        self._batch_bytes = min(BATCH_BYTES, max_bytes // 8)
        self._lock = Lock()
        self._closed: list[Batch] = recover(folder)
        self._open: OpenBatch | None = None
        self._number = max((batch.number for batch in self._closed), default=0)
        self._dropped = 0
        self._seldom = Seldom()

    @property
    def snapshots(self) -> int:
        """How many snapshots wait to be sent."""
        with self._lock:
            return sum(batch.snapshots for batch in self._all())

    def append(self, snapshot: bytes) -> None:
        """Keep one snapshot: a JSON object on one line, without line end.

        It survives the death of this process from here on. A disk that takes no more does not lose it: a full disk
        is worth reporting, so such snapshots wait in memory.
        """
        line = snapshot + b"\n"
        with self._lock:
            self._make_room(len(line))
            if self._open and self._is_full(self._open.batch, len(line)):
                self._close()
            try:
                self._open = self._open or OpenBatch(self._new_batch(), self._folder)
                self._open.append(line)
            except OSError as error:
                self._close()
                self._keep_in_memory(line, error)

    def next_batch(self, *, newest: bool) -> Batch | None:
        """What to send now: the oldest batch, or the newest if asked for and there is one not yet closed."""
        with self._lock:
            if newest or not self._closed:
                closed = self._close()
                if closed:
                    return closed
            return self._closed[0] if self._closed else None

    def read(self, batch: Batch) -> bytes:
        """The snapshots of a batch, one a line; raises OSError if it is gone."""
        if batch.lines is not None:
            return batch.lines
        with self._path(batch).open("rb") as file:
            return file.read(batch.size_bytes)

    def remove(self, batch: Batch) -> None:
        """Forget a batch the server has, or one that is gone."""
        with self._lock:
            self._forget(batch)

    def split(self, batch: Batch) -> bool:
        """Put two halves in a batch's place; false if it is a single snapshot.

        The halves' ids follow from the batch's, so that an agent killed in between makes the same halves again.
        """
        lines = self.read(batch).splitlines(keepends=True)
        if len(lines) < 2:
            return False
        middle = len(lines) // 2
        halves = [self._half(batch, 0, lines[:middle]), self._half(batch, 1, lines[middle:])]
        with self._lock:
            self._forget(batch)
            self._closed = sorted([*self._closed, *halves], key=lambda each: (each.number, each.id))
        return True

    def set_aside(self, batch: Batch) -> Path:
        """Move a batch the server cannot read out of the way; the last few are kept for a person to look at."""
        kept = self._rejected_folder / self._path(batch).name
        with suppress(OSError):
            write(kept, self.read(batch))
        with self._lock:
            self._forget(batch)
        newest_last = sorted(self._rejected_folder.glob("*.ndjson"), key=lambda path: path.stat().st_mtime_ns)
        for old in newest_last[:-REJECTED_KEPT]:
            old.unlink(missing_ok=True)
        return kept

    def close(self) -> None:
        """Close the open file; its snapshots wait for the next start."""
        with self._lock:
            self._close()

    def _all(self) -> list[Batch]:
        return [*self._closed, self._open.batch] if self._open else self._closed

    def _path(self, batch: Batch) -> Path:
        return self._folder / batch.file_name

    def _new_batch(self) -> Batch:
        self._number += 1
        return Batch(self._number, uuid4().hex, snapshots=0, size_bytes=0)

    def _is_full(self, batch: Batch, extra_bytes: int) -> bool:
        return batch.snapshots >= BATCH_SNAPSHOTS or batch.size_bytes + extra_bytes > self._batch_bytes

    def _close(self) -> Batch | None:
        closing, self._open = self._open, None
        if closing is None:
            return None
        with suppress(OSError):  # what lies past the batch's size is never read
            closing.close()
        if not closing.batch.snapshots:
            self._unlink(closing.batch)
            return None
        self._closed.append(closing.batch)
        return closing.batch

    def _keep_in_memory(self, line: bytes, error: OSError) -> None:
        self._seldom.warn("disk", f"snapshots wait in memory, the buffer cannot be written: {error.strerror}")
        self._closed.append(replace(self._new_batch(), snapshots=1, size_bytes=len(line), lines=line))
        in_memory = [batch for batch in self._closed if batch.lines is not None]
        if sum(batch.size_bytes for batch in in_memory) > MEMORY_BYTES:
            self._drop(in_memory[0])

    def _make_room(self, extra_bytes: int) -> None:
        size_bytes = sum(batch.size_bytes for batch in self._all()) + extra_bytes
        while size_bytes > self._max_bytes and self._closed:
            size_bytes -= self._closed[0].size_bytes
            self._drop(self._closed[0])

    def _drop(self, batch: Batch) -> None:
        self._forget(batch)
        self._dropped += batch.snapshots
        self._seldom.warn(
            "full", f"the buffer is full: the oldest snapshots are dropped, {self._dropped} since the start"
        )

    def _forget(self, batch: Batch) -> None:
        if batch in self._closed:
            self._closed.remove(batch)
            self._unlink(batch)

    def _unlink(self, batch: Batch) -> None:
        try:
            self._path(batch).unlink(missing_ok=True)
        except OSError as error:  # it is sent once more after a restart, and the server knows its id
            self._seldom.warn("unlink", f"{self._path(batch)} cannot be removed: {error.strerror}")

    def _half(self, batch: Batch, which: int, lines: list[bytes]) -> Batch:
        data = b"".join(lines)
        half = Batch(batch.number, f"{batch.id}.{which}", snapshots=len(lines), size_bytes=len(data))
        try:
            write(self._path(half), data)
        except OSError:
            return replace(half, lines=data)
        return half
