"""The HTTP server's own limits: heads in bounds and in time, and a stop that waiting requests hear of."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request

from metrist import protocol
from metrist.protocol import HEAD_MAX_BYTES, Protocol
from metrist.server import Server

GET = b"GET /echo HTTP/1.1\r\nHost: x\r\n"


def echo_app() -> FastAPI:
    app = FastAPI()
    app.state.stopping = asyncio.Event()

    @app.post("/echo")
    @app.get("/echo")
    async def echo(request: Request) -> int:
        return len(await request.body())

    @app.get("/wait")
    async def wait() -> str:
        await app.state.stopping.wait()
        return "told"

    return app


@contextmanager
def serving() -> Iterator[tuple[Server, int]]:
    app = echo_app()
    config = uvicorn.Config(app, loop="uvloop", http=Protocol, ws="none", log_config=None, timeout_graceful_shutdown=5)
    server = Server(config, app)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield server, port
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def connected(port: int, *parts: bytes) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        yield connection


def answer(port: int, *parts: bytes) -> tuple[int, bytes]:
    """Status and body; the connection is expected to close."""
    with connected(port, *parts) as connection, connection.makefile("rb") as file:
        head, _, body = file.read().partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def test_heads_within_bounds_are_served_one_after_the_other() -> None:
    large = b"X-Large: " + b"x" * (HEAD_MAX_BYTES // 2) + b"\r\n"
    with serving() as (_, port), connected(port) as connection:
        for _ in range(3):
            connection.sendall(GET + large + b"\r\n")
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_a_large_body_is_no_head() -> None:
    body = b"x" * (4 * HEAD_MAX_BYTES)
    head = b"POST /echo HTTP/1.1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving() as (_, port):
        assert answer(port, head, body) == (200, b"%d" % len(body))


@pytest.mark.parametrize("line", [b"X: %s\r\n" % (b"x" * 1000), b"x" * 1000], ids=["many lines", "one endless line"])
def test_a_head_without_end_is_cut_off(line: bytes) -> None:
    with serving() as (_, port), connected(port, GET) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        for _ in range(100_000):  # far more than the buffers of both sockets take
            connection.sendall(line)


def test_a_refused_head_is_a_problem() -> None:
    with serving() as (_, port):
        status, body = answer(port, GET, b"x" * (HEAD_MAX_BYTES + 1))
    assert (status, json.loads(body)["status"]) == (431, 431)


def test_an_address_that_is_too_long_is_told_so() -> None:
    with serving() as (_, port):
        status, body = answer(port, b"GET /?" + b"x" * HEAD_MAX_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (status, "Address" in json.loads(body)["detail"]) == (431, True)


@pytest.mark.parametrize("request_line", [b"nonsense\r\n\r\n", b"GET /\xff HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_what_is_not_http_is_a_problem(request_line: bytes) -> None:
    with serving() as (_, port):
        status, body = answer(port, request_line)
    assert (status, json.loads(body)["title"]) == (400, "Bad Request")


@pytest.mark.parametrize("start", [b"", GET], ids=["says nothing", "stops halfway"])
def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(protocol, "HEAD_WITHIN_S", 0.2)
    with serving() as (_, port), connected(port, start) as connection:
        assert connection.recv(100) == b""


def test_a_waiting_request_hears_of_a_stop() -> None:
    with serving() as (server, port), connected(port, b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        time.sleep(0.2)
        server.should_exit = True
        started = time.monotonic()
        assert b"told" in connection.recv(65_536)
        assert time.monotonic() - started < 1
