"""One HTTPS or HTTP request to wherever an account's webhook points, without letting it reach what is ours.

The name is looked up once, every address is judged (domain/egress.py), and the connection goes to one of those: a name
that changes between look-up and connection changes nothing. No redirects, no proxies, no cookies; the answer's body is
read to a limit and thrown away, so nothing of it can be shown to anyone. All of it ends at one deadline: a server that
sends a byte a second cannot hold a worker.
"""

import socket
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from functools import cache
from select import select
from typing import Any, Final, TypeVar

import h11

from domain.egress import Allowed, Refused, Target, check_addresses, is_literal

T = TypeVar("T")
Resolve = Callable[[str, int], Sequence[str]]
"""A host's addresses; raises OSError."""

DEADLINE_S: Final = 15.0
CONNECT_S: Final = 5.0
"""For each address; there may be several, and the first may be dead."""
ANSWER_MAX_BYTES: Final = 65_536
"""Of the body; what is more is not read, and the answer counts all the same."""
_POLITE_S: Final = 2.0
_HEAD_MAX_BYTES: Final = 32_768
_READ_BYTES: Final = 8_192
_ADDRESSES_MAX: Final = 4
_RESOLVERS = ThreadPoolExecutor(8, thread_name_prefix="resolve")
"""getaddrinfo knows no deadline: one that hangs keeps its thread, not the worker."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `error` says in words why nothing did.

    headers  names in small letters
    """

    code: int | None
    latency_ms: int
    error: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    allowed: Allowed,
    *,
    resolve: Resolve | None = None,
    deadline_s: float = DEADLINE_S,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """Send one request; whatever goes wrong becomes an Answer."""
    began_s = time.monotonic()

    def took_ms() -> int:
        return int((time.monotonic() - began_s) * 1000)

    try:
        code, answered = _post(target, headers, body, allowed, resolve or look_up, began_s + deadline_s, tls)
    except Refused as refusal:
        return Answer(None, took_ms(), str(refusal))
    except (TimeoutError, FutureTimeout):
        return Answer(None, took_ms(), f"no answer within {deadline_s:g} s")
    except ssl.SSLCertVerificationError as error:
        return Answer(None, took_ms(), f"its certificate is not valid: {error.verify_message}")
    except h11.RemoteProtocolError:
        return Answer(None, took_ms(), "it broke off its answer, or answered what is no HTTP")
    except (OSError, h11.LocalProtocolError) as error:
        return Answer(None, took_ms(), _said(error))
    return Answer(code, took_ms(), "" if 200 <= code < 300 else f"answered {code}", answered)


def look_up(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _post(
    target: Target,
    headers: Mapping[str, str],
    body: bytes,
    allowed: Allowed,
    resolve: Resolve,
    until_s: float,
    tls: ssl.SSLContext | None,
) -> tuple[int, dict[str, str]]:
    addresses = check_addresses(target.host, _resolve(target, resolve, until_s), allowed)
    connection = _connect([str(address) for address in addresses[:_ADDRESSES_MAX]], target.port, until_s)
    with connection as plain:
        plain.setblocking(False)
        if not target.is_tls:
            return _talk(plain, target, headers, body, until_s)
        context = tls or _trusting()
        with context.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False) as secure:
            _do(secure, secure.do_handshake, until_s)
            return _talk(secure, target, headers, body, until_s)


def _resolve(target: Target, resolve: Resolve, until_s: float) -> Sequence[str]:
    if is_literal(target.host):
        return [target.host]
    found = _RESOLVERS.submit(resolve, target.host, target.port).result(timeout=_left(until_s))
    if not found:
        raise OSError("its name leads nowhere")
    return found


def _connect(addresses: Sequence[str], port: int, until_s: float) -> socket.socket:
    """A connection to the first that takes one; raises what the last one said."""
    last: OSError = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=min(CONNECT_S, _left(until_s)))
        except OSError as error:
            last = error
    raise last


def _talk(
    connection: socket.socket, target: Target, headers: Mapping[str, str], body: bytes, until_s: float
) -> tuple[int, dict[str, str]]:
    """One request and the head of its answer; the rest is read as far as is polite."""
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_MAX_BYTES)
    sent = {"host": target.authority, **headers, "content-length": str(len(body)), "connection": "close"}
    _send(connection, talk, h11.Request(method="POST", target=target.path, headers=list(sent.items())), until_s)
    _send(connection, talk, h11.Data(body), until_s)
    _send(connection, talk, h11.EndOfMessage(), until_s)
    answer = _next(connection, talk, until_s)
    while isinstance(answer, h11.InformationalResponse):
        answer = _next(connection, talk, until_s)
    if not isinstance(answer, h11.Response):
        raise OSError("it closed the connection without an answer")
    _drain(connection, talk, until_s)
    known = {name.decode("ascii"): value.decode("latin-1") for name, value in answer.headers}
    return int(answer.status_code), known


def _drain(connection: socket.socket, talk: h11.Connection, until_s: float) -> None:
    """Read the body, so that the server can finish; how that ends no longer matters."""
    left, until_s = ANSWER_MAX_BYTES, min(until_s, time.monotonic() + _POLITE_S)
    try:
        while left > 0 and isinstance(part := _next(connection, talk, until_s), h11.Data):
            left -= len(part.data)
    except (OSError, h11.RemoteProtocolError):
        return


def _next(connection: socket.socket, talk: h11.Connection, until_s: float) -> Any:
    while (event := talk.next_event()) is h11.NEED_DATA:
        talk.receive_data(_do(connection, lambda: connection.recv(_READ_BYTES), until_s))
    return event


def _send(connection: socket.socket, talk: h11.Connection, event: Any, until_s: float) -> None:
    data = memoryview(talk.send(event) or b"")
    while data:
        sent = _do(connection, lambda: connection.send(data), until_s, writes=True)  # noqa: B023
        data = data[sent:]


def _do(connection: socket.socket, work: Callable[[], T], until_s: float, *, writes: bool = False) -> T:
    """Do what must not block, again when the connection is ready for it. Raises TimeoutError at the deadline."""
    while True:
        left_s = _left(until_s)
        try:
            return work()
        except ssl.SSLWantReadError:
            needs_write = False
        except ssl.SSLWantWriteError:
            needs_write = True
        except BlockingIOError:
            needs_write = writes
        select([] if needs_write else [connection], [connection] if needs_write else [], [], left_s)


def _left(until_s: float) -> float:
    left_s = until_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s


@cache
def _trusting() -> ssl.SSLContext:
    """The system's authorities; reading them takes some 20 ms."""
    return ssl.create_default_context()


def _said(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "its name was not found"
    if isinstance(error, ConnectionRefusedError):
        return "it takes no connections"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)[:200]
