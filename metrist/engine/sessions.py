"""Clients' sessions (`session_id`): what they set, and their temporary tables, outlive the request."""

import threading
import time
from dataclasses import dataclass

from metrist.engine.chdb import Connection
from metrist.engine.errors import EngineError
from metrist.engine.request import Session


@dataclass
class _Kept:
    """One session. Most clients name one and never set anything: they need no connection of their own."""

    connection: Connection | None
    ends_at_s: float
    is_busy: bool


class Sessions:
    """The sessions of all clients; each serves one request at a time."""

    def __init__(self) -> None:
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def enter(self, session: Session) -> Connection | None:
        """Begin a request; the connection, if the session has its own. Raises EngineError."""
        with self._lock:
            kept = self._kept.get(session.name)
            if kept is None or (kept.ends_at_s < time.monotonic() and not kept.is_busy):
                if session.must_exist:
                    raise EngineError(372, "SESSION_NOT_FOUND", f"Session {session.name} not found")
                stale, kept = kept, _Kept(None, 0, is_busy=True)
                self._kept[session.name] = kept
                if stale and stale.connection:
                    stale.connection.close()
            elif kept.is_busy:
                raise EngineError(373, "SESSION_IS_LOCKED", f"Session {session.name} is locked by a concurrent client")
            kept.is_busy = True
            return kept.connection

    def leave(self, session: Session, connection: Connection | None) -> None:
        """End a request; the session keeps the connection, if any. Others that have run out are closed."""
        with self._lock:
            ends_at_s = time.monotonic() + (-1 if session.ends else session.timeout_s)
            self._kept[session.name] = _Kept(connection, ends_at_s, is_busy=False)
            self._sweep()

    def close(self) -> None:
        """End them all."""
        with self._lock:
            for kept in self._kept.values():
                kept.ends_at_s, kept.is_busy = 0, False
            self._sweep()

    def _sweep(self) -> None:
        now_s = time.monotonic()
        for name in [name for name, kept in self._kept.items() if kept.ends_at_s < now_s and not kept.is_busy]:
            connection = self._kept.pop(name).connection
            if connection:
                connection.close()
