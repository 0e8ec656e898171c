"""Connections of chDB between requests."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from metrist.engine.chdb import Connection, Directory
from metrist.engine.errors import EngineError
from metrist.engine.request import Request
from metrist.engine.sessions import Sessions
from metrist.engine.statement import Statement


class Pool:
    """Lends a connection to one request at a time, and lends on only what bears no trace of the last one."""

    def __init__(self, directory: Directory, size: int) -> None:
        self._directory = directory
        self._size = size
        self._idle: list[Connection] = []
        self._busy: dict[Connection, Statement] = {}
        self._sessions = Sessions()
        self._lock = threading.Lock()

    @contextmanager
    def lend(self, request: Request, statement: Statement) -> Iterator[Connection]:
        """A connection set as the request asks: its session's own, if that has set something. Raises EngineError."""
        own = connection = self._sessions.enter(request.session) if request.session else None
        lasts = statement.changes_session and request.session is not None
        # What a session sets must not be mixed with what its request brings along
        database, settings = ("", {}) if lasts else (request.database, request.settings)
        try:
            if connection is None:
                connection = self._take(database, settings)
            else:
                connection.prepare(database, settings)
            self._busy[connection] = statement
            yield connection
            if lasts:
                connection.rebase()
                own = connection
        finally:
            if connection is not None:
                self._busy.pop(connection, None)
                own = self._put_back(connection, own, keeps_traces=statement.changes_session)
            if request.session:
                self._sessions.leave(request.session, own)

    def kill(self, connection: Connection) -> None:
        """Stop what runs on it."""
        connection.kill(self._directory)

    def kill_reads(self) -> None:
        """Stop all that only reads."""
        for connection, statement in list(self._busy.items()):
            if statement.is_read:
                self.kill(connection)

    def close(self) -> None:
        """Close what is idle; what is busy must have ended before."""
        self._sessions.close()
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _take(self, database: str, settings: Mapping[str, str]) -> Connection:
        """One from the pool, else a new one: so too when the last request's settings will not go away (readonly)."""
        if used := self._pick(database, settings):
            with suppress(EngineError):
                used.prepare(database, settings)
                return used
            used.close()
        new = self._directory.connect()
        try:
            new.prepare(database, settings)
        except EngineError:
            new.close()
            raise
        return new

    def _pick(self, database: str, settings: Mapping[str, str]) -> Connection | None:
        """Prefer one that needs no SET: clients send the same settings each time."""
        with self._lock:
            suiting = (each for each in reversed(self._idle) if each.suits(database, settings))
            picked = next(suiting, self._idle[-1] if self._idle else None)
            if picked:
                self._idle.remove(picked)
            return picked

    def _put_back(self, connection: Connection, own: Connection | None, *, keeps_traces: bool) -> Connection | None:
        """Decide what becomes of a connection; returns it if it stays with its session."""
        if connection is own and not connection.is_spoilt:
            return own
        with self._lock:
            if not (connection.is_spoilt or keeps_traces) and len(self._idle) < self._size:
                self._idle.append(connection)
                return None
        connection.close()
        return None
