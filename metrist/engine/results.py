"""A statement on its way through chDB: what it answers, piece by piece, and what it has done."""

import fcntl
import os
import re
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

from metrist.engine.chdb import Connection, Stats
from metrist.engine.codecs import encode, encoder
from metrist.engine.errors import EngineError
from metrist.engine.pool import Pool
from metrist.engine.request import Request
from metrist.engine.spool import Spool
from metrist.engine.statement import Statement

BLOCKWISE = frozenset({b"NATIVE", b"ROWBINARY", b"TABSEPARATED", b"TSV", b"CSV"})
"""Formats without head and foot: their blocks, one after the other, are the whole. chDB streams these itself."""
PIPE_BYTES = 1 << 20
FORMAT_NAME = re.compile(r"\w+", re.ASCII)

Pieces = Generator[bytes, None, None]


class Results:
    """One statement. Worker threads call `pull` and `close`, the event loop only `kill`."""

    def __init__(
        self,
        pool: Pool,
        writers: ThreadPoolExecutor,
        request: Request,
        statement: Statement,
        text: bytes,
        spool: Spool | None,
    ) -> None:
        """`text` is the SQL, `spool` the data of an INSERT that has some."""
        if not FORMAT_NAME.fullmatch(request.format):
            raise EngineError(73, "UNKNOWN_FORMAT", f"Unknown format {request.format}")
        self._pool = pool
        self._writers = writers
        self._request = request
        self._statement = statement
        self._text = text
        self._spool = spool
        self._connection: Connection | None = None
        self._is_killed = False
        self._encoder = encoder(request.accept_encoding, request.level) if request.accept_encoding else None
        self._plain = self._run()
        self._pieces = encode(self._plain, self._encoder) if self._encoder else self._plain
        self._turn = threading.Lock()
        self._started_s = time.perf_counter()
        self.stats = Stats()
        self.has_ended = False

    @property
    def elapsed_ns(self) -> int:
        """Since the statement could begin."""
        return int((time.perf_counter() - self._started_s) * 1e9)

    def pull(self, at_least: int) -> bytes:
        """The next piece, of some `at_least` bytes; less only at the end. Raises EngineError."""
        pulled: list[bytes] = []
        size = 0
        with self._turn:
            if self._is_killed:
                raise EngineError(394, "QUERY_WAS_CANCELLED", "Query was cancelled")
            for piece in self._pieces:
                pulled.append(piece)
                size += len(piece)
                if size >= at_least:
                    break
            else:
                self.has_ended = True
                if self._encoder:
                    pulled.append(self._encoder.flush())
        return pulled[0] if len(pulled) == 1 else b"".join(pulled)

    def seal(self, last_words: bytes) -> bytes:
        """End a stream that broke off, in the encoding it has."""
        return self._encoder.compress(last_words) + self._encoder.flush() if self._encoder else last_words

    def kill(self) -> None:
        """Stop a SELECT: this or the next `pull` raises. What writes is left to end."""
        if self._statement.is_read:
            self._is_killed = True
            if connection := self._connection:
                self._pool.kill(connection)

    def abandon(self) -> None:
        """Nobody waits for it any more."""
        self.kill()
        self.close()

    def close(self) -> None:
        """Give everything back, whether it has ended or not; the data too, which a thread may read until then."""
        with self._turn:
            self._plain.close()
            if self._spool is not None:
                self._spool.close()

    def _run(self) -> Pieces:
        with self._pool.lend(self._request, self._statement) as connection:
            self._connection = connection
            try:
                yield from self._answer(connection)
            finally:
                self._connection = None

    def _answer(self, connection: Connection) -> Pieces:
        if self._spool is not None:
            self.stats = Stats.of(self._query(connection, self._insert(self._spool)))
        elif not self._statement.is_query:
            result = self._query(connection, self._text)
            self.stats = Stats.of(result)
            yield result.bytes()
        elif (self._statement.format or self._request.format.encode()).upper() in BLOCKWISE:
            with closing(connection.stream(self._text, self._request.format, self._request.params)) as blocks:
                for block in blocks:
                    self.stats += Stats.of(block)
                    yield block.bytes()
        else:
            yield from self._piped(connection)

    def _piped(self, connection: Connection) -> Pieces:
        """Formats with head and foot: chDB would hold the whole, unless it writes a file, and a pipe is one."""
        reader, writer = os.pipe()
        with suppress(OSError):  # the user's pipes may be at their limit
            fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        writing = self._writers.submit(self._write, connection, writer)
        try:
            while piece := os.read(reader, PIPE_BYTES):
                yield piece
            self.stats = Stats.of(writing.result())
        finally:
            os.close(reader)  # whoever still writes now ends with a broken pipe
            writing.exception()

    def _write(self, connection: Connection, writer: int) -> Any:
        at = self._statement.end
        clause = f"\nINTO OUTFILE '/dev/fd/{writer}' APPEND ".encode()
        tail = self._text[at:] if self._statement.format else b"FORMAT " + self._request.format.encode()
        try:
            return self._query(connection, self._text[:at] + clause + tail)
        finally:
            os.close(writer)

    def _insert(self, spool: Spool) -> bytes:
        """The INSERT, reading the spool: files are parsed in parallel, text would be copied into the SQL."""
        at, name, settings_at = self._statement.end, self._statement.format or b"", self._statement.settings_at
        if self._statement.input_at:
            start, inner = self._statement.input_at
            comma = b"" if self._text[inner:at].lstrip().startswith(b")") else b", "
            return self._text[:start] + f"file('{spool.path}', ".encode() + name + comma + self._text[inner:at]
        split = at if settings_at is None else settings_at
        source = f"FROM INFILE '{spool.path}' ".encode()
        return self._text[:split] + source + self._text[split:at] + b" FORMAT " + name

    def _query(self, connection: Connection, sql: bytes) -> Any:
        return connection.query(sql, self._request.format, self._request.params)
