"""Carries sealed spool segments into ClickHouse, oldest first, one INSERT each, two at a time under load."""

import os
import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from domain.errors import StoreUnavailable
from schema import samples
from schema.carried import Carried
from schema.clickhouse_client import ClickHouse, DatabaseError
from schema.hold import Hold
from schema.spool import Segment, Spool

log = structlog.get_logger()
_BACKOFF_MAX_S = 15.0
_SIDE_BY_SIDE = 2
_MUCH_SAMPLES = 250_000
"""So much is worth an INSERT of its own as soon as ClickHouse has time for it."""
_BAD_DATA = ("CANNOT_PARSE", "INCORRECT_DATA", "TYPE_MISMATCH", "CANNOT_READ", "TOO_LARGE_ARRAY_SIZE")


class Drain:
    """One thread.

    on_stored   called with the segment's token after its INSERT
    keep        called with the token and its (account, batch) pairs before the segment is removed
    """

    def __init__(
        self,
        source: Spool,
        clickhouse: ClickHouse,
        interval_s: float,
        on_stored: Callable[[str], None],
        keep: Callable[[str, Iterable[tuple[str, str]]], None],
    ) -> None:
        self._spool = source
        self._hold = Hold(source.folder.parent)
        self._clickhouse = clickhouse
        self._interval_s = interval_s
        self._on_stored = on_stored
        self._keep = keep
        self.carried = Carried()
        self._stopping = threading.Event()
        self._is_failing = False
        self._carriers = ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="spool-carrier")
        self._thread = threading.Thread(target=self._run, name="spool-drain", daemon=True)

    def start(self) -> None:
        """Begin to drain."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Insert what is sealed while the time lasts, then end; what is left stays on disk."""
        self._stopping.set()
        self._thread.join(timeout_s)
        self._carriers.shutdown(wait=False, cancel_futures=True)

    def _run(self) -> None:
        failures = 0
        sealed_at = time.monotonic()
        while True:
            is_last = self._stopping.is_set()
            since = time.monotonic() - sealed_at
            is_much = self._spool.open_samples >= _MUCH_SAMPLES
            if not self._spool.sealed() and since < self._interval_s and not is_last and not is_much:
                self._spool.wait_sealed(self._interval_s - since)
            if time.monotonic() - sealed_at >= self._interval_s or is_much:
                self._spool.seal()
                sealed_at = time.monotonic()
                self._spool.wait_sealed(0.05)
            self._is_failing = False
            failures = 0 if self._insert_sealed() else failures + 1
            if is_last:
                return
            if failures:
                self._stopping.wait(random.uniform(0.2, min(_BACKOFF_MAX_S, 0.5 * 2**failures)))  # noqa: S311

    def _insert_sealed(self) -> bool:
        """Insert what is sealed, two segments at a time; False when ClickHouse could not take one."""
        found = self._spool.sealed()
        if len(found) == 1:
            return self._carry(found[0])
        return all(list(self._carriers.map(self._carry, found)))

    def _carry(self, segment: Segment) -> bool:
        """Insert a segment, or say why it waits; not while a backup takes its moment (schema/hold.py).

        Whatever fails here, the thread goes on: what is inserted again under its token counts once.
        """
        if self._is_failing:
            return False
        try:
            with self._hold.shared(self._stopping.is_set) as is_held:
                if is_held:
                    self._insert_or_set_aside(segment)
                return is_held
        except StoreUnavailable as error:
            return self._wait(segment, error.detail)
        except (DatabaseError, OSError) as error:  # among them a full disk, ours or the store's
            return self._wait(segment, str(error)[:300])
        except Exception as error:
            log.error("segment_failed", segment=segment.token, exc_info=error)
            return self._wait(segment, type(error).__name__)

    def _insert_or_set_aside(self, segment: Segment) -> None:
        try:
            self._insert(segment)
        except DatabaseError as error:
            if not _is_bad_data(error):
                raise
            self._set_aside(segment, error)

    def _wait(self, segment: Segment, reason: str) -> bool:
        self._is_failing = True
        self.carried.waited()
        log.warning("segment_waits", segment=segment.token, reason=reason)
        return False

    def _insert(self, segment: Segment) -> None:
        began = time.monotonic()
        samples.insert(self._clickhouse, segment.path.read_bytes(), segment.token)
        self._done(segment)
        took_ms = round((time.monotonic() - began) * 1000)
        log.debug("segment_stored", segment=segment.token, samples=segment.samples, took_ms=took_ms)

    def _set_aside(self, segment: Segment, error: DatabaseError) -> None:
        """One bad line must not hold up the rest: insert line by line, and keep what is refused for a person."""
        log.error("segment_refused", segment=segment.token, error=str(error)[:500])
        refused = []
        for number, line in enumerate(segment.path.read_bytes().splitlines(keepends=True)):
            try:
                samples.insert(self._clickhouse, line, f"{segment.token}-{number}")
            except DatabaseError as bad:
                if not _is_bad_data(bad):  # it is not the line's fault: all of it again, which counts once
                    raise
                log.error("batch_refused", segment=segment.token, line=number, error=str(bad)[:500])
                refused.append(line)
        if refused:
            self.carried.refused(len(refused))
            _write_lines(self._spool.folder / "refused" / segment.path.name, refused)
        self._done(segment)

    def _done(self, segment: Segment) -> None:
        self._keep(segment.token, segment.batches)
        self._spool.remove(segment)
        self.carried.stored(max(0.0, time.time() - segment.begun_s))
        self._on_stored(segment.token)


def _is_bad_data(error: DatabaseError) -> bool:
    return any(code in str(error) for code in _BAD_DATA)


def _write_lines(path: Path, lines: list[bytes]) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
