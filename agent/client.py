"""HTTP to one server, over one connection that is kept open.

Plain `http.client`: with httpx the agent would take 9 MB more (22 and 31 MB measured after all imports).
"""

import http.client
import select
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Timer
from typing import TypeVar
from urllib.parse import urlsplit

import msgspec

from agent.proxy import proxy_for, proxy_headers

Shape = TypeVar("Shape")

CONNECT_TIMEOUT_S = 10.0
REPLY_MAX_BYTES = 4_194_304
"""A hundred monitors of 32 kB, the most that a server answers with."""


@dataclass(frozen=True)
class Reply:
    """What the server answered; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_problem(self) -> bool:
        """Whether Metrist itself said no, and not a proxy on the way."""
        return self.headers.get("content-type", "").startswith("application/problem+json")

    def decoded(self, shape: type[Shape]) -> Shape | None:
        """The body as JSON of that shape; None if it is anything else."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def reason(self) -> str:
        """The status, with what a problem's body says about it."""
        problem = (self.decoded(_Problem) if self.is_problem else None) or _Problem()
        status = f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()
        return ": ".join(filter(None, (status, problem.detail or problem.title)))


class _Problem(msgspec.Struct):
    title: str = ""
    detail: str = ""


class Unreachable(Exception):
    """There is no answer; the message says why."""


class Client:
    """Posts to one server, and gets from it. For one thread; only `abort` may be called from another."""

    def __init__(self, server: str, headers: Mapping[str, str]) -> None:
        self._server = urlsplit(server)
        self._headers = dict(headers)
        self._proxy = proxy_for(self._server)
        self._tls = ssl.create_default_context() if self._server.scheme == "https" else None
        if self._proxy and self._tls is None:  # with TLS the proxy only sees the request for a tunnel
            self._headers |= proxy_headers(self._proxy)
        self._connection: http.client.HTTPConnection | None = None
        self._is_aborted = False

    def post(self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float) -> Reply:
        """Send a body and read the answer, within the time-out as a whole; raises Unreachable."""
        return self._try("POST", path, body, headers, timeout_s)

    def get(self, path: str, headers: Mapping[str, str], timeout_s: float) -> Reply:
        """Read what is there, within the time-out as a whole; raises Unreachable."""
        return self._try("GET", path, None, headers, timeout_s)

    def abort(self) -> None:
        """Make the request under way fail now, and every later one."""
        self._is_aborted = True
        connection = self._connection
        _hang_up(connection.sock if connection else None)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _try(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float) -> Reply:
        was_open = self._connection is not None
        try:
            return self._send(method, path, body, headers, timeout_s)
        except (ConnectionResetError, BrokenPipeError) as error:
            # The server may close an idle connection just as it is used again; what we send may be sent twice.
            if not was_open or self._is_aborted:
                raise Unreachable(_explain(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_explain(error)) from error
        try:
            return self._send(method, path, body, headers, timeout_s)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(_explain(error)) from error

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float) -> Reply:
        connection = self._connected(timeout_s)
        connection.sock.settimeout(timeout_s)
        deadline = Deadline(connection.sock, timeout_s)
        deadline.start()
        try:
            connection.request(method, self._target(path), body, {**self._headers, **headers})
            response = connection.getresponse()
            reply = _read(response)
        except BaseException as error:
            self.close()
            if deadline.has_passed:
                raise TimeoutError from error
            raise
        finally:
            deadline.cancel()
        if response.will_close:
            self.close()
        return reply

    def _connected(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._connection is not None and _is_stale(self._connection.sock):
            self.close()
        if self._connection is None:
            connection = self._new_connection(min(timeout_s, CONNECT_TIMEOUT_S))
            connection.connect()
            self._connection = connection
        if self._is_aborted:
            self.close()
            raise ConnectionAbortedError("the agent is stopping")
        return self._connection

    def _new_connection(self, timeout_s: float) -> http.client.HTTPConnection:
        place = self._proxy or self._server
        host, port = place.hostname or "", place.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout_s)
        connection = http.client.HTTPSConnection(host, port, timeout=timeout_s, context=self._tls)
        if self._proxy:
            connection.set_tunnel(self._server.hostname or "", self._server.port, proxy_headers(self._proxy))
        return connection

    def _target(self, path: str) -> str:
        """What stands in the request line: the whole address where a proxy has to read it."""
        if self._proxy and self._tls is None:
            return f"http://{self._server.netloc}{self._server.path}{path}"
        return self._server.path + path


class Deadline(Timer):
    """Ends a whole request in time: a socket's own time-out starts anew with every byte a slow server drips."""

    def __init__(self, sock: socket.socket, timeout_s: float) -> None:
        super().__init__(timeout_s, self._pass)
        self.daemon = True
        self.has_passed = False
        self._sock = sock

    def _pass(self) -> None:
        self.has_passed = True
        _hang_up(self._sock)


def _hang_up(sock: socket.socket | None) -> None:
    """Wake the thread that waits on a socket; closing it here would not."""
    with suppress(OSError):
        if sock is not None:
            socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not SSLSocket's, which breaks the reader's state


def _is_stale(sock: socket.socket | None) -> bool:
    """Whether the server has closed an idle connection; it has nothing else to say on one."""
    return sock is None or bool(select.select([sock], [], [], 0)[0])


def _read(response: http.client.HTTPResponse) -> Reply:
    body = response.read(REPLY_MAX_BYTES + 1)
    if len(body) > REPLY_MAX_BYTES:
        raise http.client.HTTPException(f"the answer is longer than {REPLY_MAX_BYTES} bytes")
    return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def _explain(error: Exception) -> str:
    """A failure in words for a log line."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case OSError():
            return error.strerror or str(error)
        case _:
            return f"its answer is no HTTP: {error}"
