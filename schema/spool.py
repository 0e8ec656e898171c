"""Acknowledged snapshots on disk until ClickHouse has them.

A folder holds segments: files of JSON lines, each line one batch as table `ingest` takes it,
`{"account": …, "batch": …, "snapshots": […]}`. One segment is open; appends to it are group-committed with
fdatasync by one thread and only then acknowledged. A sealed segment never changes again, so that its name can be
the deduplication token of its one INSERT: after a crash anywhere it is inserted again under the same token.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import msgspec
import structlog

from domain.errors import Overloaded, StartRefused, StorageFull

log = structlog.get_logger()
SUFFIX = ".ndjson"
_OPEN_SUFFIX = ".open"


class _Line(msgspec.Struct):
    account: str
    batch: str
    snapshots: msgspec.Raw


@dataclass(frozen=True)
class Record:
    """One batch: `line` ends with a line feed; `batch` is "" for one that has no id."""

    line: bytes
    samples: int
    account: str
    batch: str


@dataclass(frozen=True)
class Segment:
    """A sealed file of batches, one INSERT.

    samples     0 for one that an earlier process wrote
    batches     (account, batch) of those that have an id
    """

    path: Path
    samples: int
    batches: Sequence[tuple[str, str]]

    @property
    def token(self) -> str:
        return self.path.stem

    @property
    def body_bytes(self) -> int:
        return self.path.stat().st_size

    @property
    def begun_s(self) -> float:
        """When its first batch was written, Unix seconds: names begin with it; 0.0 where one does not."""
        return _begun_s(self.path)


def record(account_id: str, batch: str, snapshots: bytes, samples: int) -> Record:
    """The line of one batch; `snapshots` is a JSON array without line feeds."""
    line = b'{"account":"%b","batch":"%b","snapshots":%b}\n' % (account_id.encode(), batch.encode(), snapshots)
    return Record(line, samples, account_id, batch)


class Spool:
    """One folder of segments, owned by one process.

    `append` may be called from one event loop; `seal`, `sealed` and `remove` from any thread.
    Raises StartRefused when another process holds the folder.
    """

    def __init__(self, folder: Path, *, max_bytes: int, segment_samples: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._max_bytes = max_bytes
        self._segment_samples = segment_samples
        self._lock_file = _lock(folder)
        self._changed = threading.Condition()
        self._waiting: list[tuple[Record, asyncio.AbstractEventLoop, asyncio.Future[str]]] = []
        self._is_closing = False
        self._sealed: list[Segment] = list(_recover(folder))
        self._bytes = sum(segment.body_bytes for segment in self._sealed)
        self._open_fd = -1
        self._open_path = folder
        self._open_samples = 0
        self._open_bytes = 0
        self._open_batches: list[tuple[str, str]] = []
        self._seal_asked = False
        self._writer = threading.Thread(target=self._write_forever, name="spool-writer", daemon=True)
        self._writer.start()

    @property
    def pending_bytes(self) -> int:
        """Bytes acknowledged and not yet removed."""
        return self._bytes

    @property
    def open_samples(self) -> int:
        """Samples in the segment that is being written."""
        return self._open_samples

    async def append(self, item: Record) -> str:
        """Put a batch on disk and return the token of its segment once it is there.

        Raises Overloaded when the spool is full, StorageFull when it could not be written; schema/room.py is what
        keeps the disk from getting there.
        """
        if self._bytes + len(item.line) > self._max_bytes:
            raise Overloaded(
                "ClickHouse does not keep up and the spool is full; send again later", headers={"Retry-After": "5"}
            )
        loop = asyncio.get_running_loop()
        stored: asyncio.Future[str] = loop.create_future()
        with self._changed:
            self._waiting.append((item, loop, stored))
            self._changed.notify_all()
        # The write goes on when the caller is cancelled: what is on disk is counted, acknowledged or not.
        return await asyncio.shield(stored)

    def oldest_s(self) -> float | None:
        """When the oldest segment that is still here was begun, Unix seconds; None while there is none."""
        with self._changed:
            if self._sealed:
                return self._sealed[0].begun_s or None
            return _begun_s(self._open_path) if self._open_fd >= 0 else None

    def seal(self) -> None:
        """Ask that the open segment be closed; it shows in `sealed` soon after, unless it is empty."""
        with self._changed:
            self._seal_asked = True
            self._changed.notify_all()

    def sealed(self) -> list[Segment]:
        """Segments to insert, oldest first."""
        with self._changed:
            return list(self._sealed)

    def wait_sealed(self, timeout_s: float) -> bool:
        """Wait until a segment is sealed; False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._sealed) or self._is_closing, timeout_s)

    def remove(self, segment: Segment) -> None:
        """Forget a segment whose INSERT has returned."""
        size = segment.body_bytes
        segment.path.unlink()
        self._forget(segment, size)

    def _forget(self, segment: Segment, size: int) -> None:
        with self._changed:
            self._sealed.remove(segment)
            self._bytes -= size

    def close(self) -> None:
        """Write what waits, seal, release the folder."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._writer.join(timeout=10)
        self._lock_file.close()

    def _write_forever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._seal_asked or self._is_closing)
                batch, self._waiting = self._waiting, []
                seal, self._seal_asked = self._seal_asked, False
                is_closing = self._is_closing
            if batch:
                self._commit(batch)
            if seal or is_closing or self._open_samples >= self._segment_samples:
                self._seal()
            if is_closing and not batch:
                return

    def _commit(self, batch: list[tuple[Record, asyncio.AbstractEventLoop, asyncio.Future[str]]]) -> None:
        try:
            self._write([item.line for item, _, _ in batch])
        except OSError as error:
            log.error("spool_write_failed", error=str(error))
            self._abandon_open()
            failure = StorageFull("the snapshots could not be written to disk; send again later")
            for _, loop, stored in batch:
                _call(loop, _fail, stored, failure)
            return
        token = self._open_path.stem
        self._open_samples += sum(item.samples for item, _, _ in batch)
        self._open_batches += [(item.account, item.batch) for item, _, _ in batch if item.batch]
        for _, loop, stored in batch:
            _call(loop, _succeed, stored, token)

    def _write(self, lines: list[bytes]) -> None:
        if self._open_fd < 0:
            name = f"{time.time_ns() // 1_000_000:013d}-{secrets.token_hex(6)}"
            self._open_path = self.folder / f"{name}{_OPEN_SUFFIX}"
            self._open_fd = os.open(self._open_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
            _sync_folder(self.folder)
        data = memoryview(b"".join(lines))
        size = len(data)
        while data:
            data = data[os.write(self._open_fd, data) :]
        os.fdatasync(self._open_fd)
        self._open_bytes += size
        with self._changed:
            self._bytes += size

    def _seal(self) -> None:
        if self._open_fd < 0:
            return
        os.close(self._open_fd)
        self._open_fd = -1
        path = self._open_path.with_suffix(SUFFIX)
        self._open_path.rename(path)
        segment = Segment(path, self._open_samples, self._open_batches)
        self._open_samples = self._open_bytes = 0
        self._open_batches = []
        with self._changed:
            self._sealed.append(segment)
            self._changed.notify_all()

    def _abandon_open(self) -> None:
        """After a failed write: cut the file back to what was acknowledged, so that a resend is not counted twice."""
        if self._open_fd < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._open_fd, self._open_bytes)
        if self._open_bytes:
            self._seal()
            return
        os.close(self._open_fd)
        self._open_fd = -1
        with contextlib.suppress(OSError):
            self._open_path.unlink()


def _begun_s(path: Path) -> float:
    begun_ms, _, _ = path.name.partition("-")
    return int(begun_ms) / 1000 if begun_ms.isdigit() else 0.0


def claim_folder(parent: Path, most: int = 64) -> Path:
    """A folder below `parent` that no process holds; segments that dead processes left elsewhere are moved into it.

    Raises StartRefused when `most` processes already spool here.
    """
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    free = [folder for folder in (parent / f"{n:02d}" for n in range(most)) if _is_free(folder)]
    if not free:
        raise StartRefused(f"{most} processes already use the spool {parent}")
    own = free[0]
    own.mkdir(exist_ok=True, mode=0o700)
    for orphan in free[1:]:
        for path in orphan.glob("*.*") if orphan.is_dir() else ():
            path.rename(own / path.name)
    return own


def _is_free(folder: Path) -> bool:
    if not folder.is_dir():
        return True
    try:
        _lock(folder).close()
    except StartRefused:
        return False
    return True


def _recover(folder: Path) -> Iterator[Segment]:
    """Segments left by an earlier process, oldest first; torn tails that were never acknowledged are cut off."""
    for path in sorted(folder.iterdir()):
        if path.suffix == SUFFIX:
            yield Segment(path, 0, _batches(path))
        elif path.suffix == _OPEN_SUFFIX:
            segment = _recover_open(path)
            if segment is not None:
                yield segment


def _recover_open(path: Path) -> Segment | None:
    decoder = msgspec.json.Decoder(_Line)
    body = path.read_bytes()
    kept = 0
    for line in body.splitlines(keepends=True):
        try:
            if not line.endswith(b"\n"):
                break
            decoder.decode(line)
        except msgspec.MsgspecError:
            break
        kept += len(line)
    if kept < len(body):
        log.warning("spool_tail_dropped", segment=path.stem, dropped_bytes=len(body) - kept)
    if kept == 0:
        path.unlink()
        return None
    with path.open("r+b") as file:
        file.truncate(kept)
        os.fsync(file.fileno())
    sealed = path.with_suffix(SUFFIX)
    path.rename(sealed)
    _sync_folder(path.parent)
    return Segment(sealed, 0, _batches(sealed))


def _batches(path: Path) -> list[tuple[str, str]]:
    lines = msgspec.json.Decoder(_Line).decode_lines(path.read_bytes())
    return [(line.account, line.batch) for line in lines if line.batch]


def _lock(folder: Path) -> TextIO:
    file = (folder / "lock").open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise StartRefused(f"another process uses the spool {folder}; give each API process its own") from error
    return file


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _call(loop: asyncio.AbstractEventLoop, function: object, stored: "asyncio.Future[str]", value: object) -> None:
    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(function, stored, value)  # type: ignore[arg-type]


def _succeed(stored: "asyncio.Future[str]", token: str) -> None:
    if not stored.done():
        stored.set_result(token)


def _fail(stored: "asyncio.Future[str]", error: Exception) -> None:
    if not stored.done():
        stored.set_exception(error)
