"""A small real web server that plays other people's: it may be slow, break off, redirect, or say no."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """What came, and how to behave.

    code         the answer's; 0: close without one
    headers      sent along
    delay_s      before the answer
    drip_s       between the answer's bytes
    raw          sent instead of an answer
    script       codes for the next requests, before `code` counts
    """

    port: int
    received: list[Received] = field(default_factory=list)
    code: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0
    drip_s: float = 0
    raw: bytes = b""
    body: bytes = b""
    script: list[int] = field(default_factory=list)
    connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    scheme: str = "http"
    before: Callable[[Received], None] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def wait_for(self, count: int, within_s: float = 15) -> list[Received]:
        """The requests, once there are so many."""
        until_s = time.monotonic() + within_s
        while len(self.received) < count:
            if time.monotonic() > until_s:
                pytest.fail(f"{len(self.received)} of {count} requests came within {within_s} s")
            time.sleep(0.01)
        return list(self.received)

    def take(self, request: Received) -> int:
        """Keep it; returns the code to answer."""
        with self.lock:
            self.received.append(request)
            code = self.script.pop(0) if self.script else self.code
        if self.before:
            self.before(request)
        return code


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on loopback, until the block ends."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.receiver = Receiver(server.server_address[1], scheme="https" if tls else "http")
    if tls:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A web server of somebody else's."""
    with receiving() as found:
        yield found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    receiver: Receiver

    def get_request(self) -> tuple[socket.socket, Any]:
        found = super().get_request()
        self.receiver.connections += 1
        return found

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        receiver = self.server.receiver
        length = int(self.headers.get("content-length", 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        code = receiver.take(Received(self.path, headers, self.rfile.read(length), time.monotonic()))
        time.sleep(receiver.delay_s)
        self.close_connection = True
        if receiver.raw:
            self.wfile.write(receiver.raw)
        elif code:
            self._answer(receiver, code)

    do_GET = do_POST

    def _answer(self, receiver: Receiver, code: int) -> None:
        lines = [f"HTTP/1.1 {code} Said", *(f"{name}: {value}" for name, value in receiver.headers.items())]
        lines += [f"content-length: {len(receiver.body)}"] if code not in (204, 304) else []
        answer = "\r\n".join([*lines, "", ""]).encode() + receiver.body
        if not receiver.drip_s:
            self.wfile.write(answer)
            return
        for byte in answer:
            self.wfile.write(bytes([byte]))
            time.sleep(receiver.drip_s)

    def log_message(self, *_: object) -> None:
        """Nothing."""
