"""Connections of chDB between requests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from metrist.engine.chdb import Connection, Directory
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
        own = self._sessions.enter(request.session) if request.session else None
        connection = None
        try:
            connection = own or self._take(request)
            self._busy[connection] = statement
            if statement.changes_session and request.session:
                connection.prepare("", {})  # so that the request's own settings do not become the session's
                yield connection
                connection.rebase()
                own = connection
            else:
                connection.prepare(request.database, request.settings)
                yield connection
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

    def _take(self, request: Request) -> Connection:
        """Prefer one that needs no SET: clients send the same settings each time."""
        with self._lock:
            suiting = (each for each in reversed(self._idle) if each.suits(request.database, request.settings))
            if self._idle:
                connection = next(suiting, self._idle[-1])
                self._idle.remove(connection)
                return connection
        return self._directory.connect()

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
