"""A small real server for agents to talk to: it can hang, close, refuse, and it remembers what it was sent."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import zstandard

PATIENCE_S = 20.0


@dataclass(frozen=True)
class Answer:
    """What the server says."""

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Post:
    """One POST of snapshots, as it arrived."""

    path: str
    batch_id: str
    body: bytes
    headers: Mapping[str, str]
    at_s: float

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.body.splitlines()]


def accepted(post: Post) -> Answer:
    """Take everything."""
    samples = sum(len(snapshot["metrics"]) for snapshot in post.snapshots)
    body = {"accepted": samples, "refused": 0, "refusals": [], "batch": post.batch_id, "duplicate": False}
    return Answer(202, body)


def problem(status: int, detail: str = "as the test asked", **headers: str) -> Answer:
    """An RFC 9457 problem; `Retry_After="2"` becomes the header Retry-After."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(
        status, {"title": "A problem", "detail": detail}, {"Content-Type": "application/problem+json", **named}
    )


class AgentServer:
    """Starts at once on a free port of loopback, which it keeps over `close` and `open`."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.taken: dict[str, Post] = {}
        self.pings: list[dict[str, Any]] = []
        self.commands: list[dict[str, Any]] = []
        self.judge: Callable[[Post], Answer | None] = accepted
        """Answers a POST of snapshots; None hangs until the server closes."""
        self.judge_ping: Callable[[dict[str, Any]], Answer | None] = lambda _ping: None
        """Answers a ping; None answers as Metrist does."""
        self.ping_interval_s = 0.2
        self._port = 0
        self._closing = threading.Event()
        self.open()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def snapshots(self) -> list[dict[str, Any]]:
        """Every snapshot that was taken, a batch that came twice counted once."""
        return [snapshot for post in self.taken.values() for snapshot in post.snapshots]

    def open(self) -> None:
        self._closing = threading.Event()
        self._http = _Http(("127.0.0.1", self._port), _Handler, self, self._closing)
        self._port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Go away as a killed process does: nobody is answered any more."""
        self._closing.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def answer(self, path: str, body: bytes, headers: Mapping[str, str]) -> Answer | None:
        if path.startswith("/api/v1/monitors/runs?"):
            return self.answer_runs(json.loads(body))
        if path == "/api/v1/ping":
            return self._answer_ping(json.loads(body))
        if headers.get("Content-Encoding") == "zstd":
            body = zstandard.ZstdDecompressor().decompress(body)
        post = Post(path, headers["Metrist-Batch-Id"], body, headers, time.monotonic())
        answer = self.judge(post)
        if answer is not None and answer.status < 300:
            self.taken.setdefault(post.batch_id, post)
        self.posts.append(post)
        return answer

    def answer_get(self, path: str) -> Answer:
        """There is nothing to get here; tests/monitor_server.py has monitors."""
        return problem(404, f"nothing is at {path}")

    def answer_runs(self, _reports: list[dict[str, Any]]) -> Answer:
        return problem(404, "no monitors here")

    def monitors_for(self, _ping: dict[str, Any]) -> dict[str, Any] | None:
        """What a ping's answer says of monitors."""
        return None

    def _answer_ping(self, ping: dict[str, Any]) -> Answer:
        self.pings.append(ping)
        answer = self.judge_ping(ping)
        if answer is not None:
            return answer
        until_s = time.monotonic() + ping["wait"]
        while (
            not self.commands
            and not self.monitors_for(ping)
            and time.monotonic() < until_s
            and not self._closing.is_set()
        ):
            time.sleep(0.01)
        commands, self.commands = self.commands, []
        body = {"server_time": time.time(), "ping_interval_s": self.ping_interval_s, "commands": commands}
        return Answer(
            200,
            {
                **body,
                "monitors": self.monitors_for(ping),
                "live": None,
                "node": {"name": ping["node"], "state": "online"},
            },
        )


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: type["_Handler"], server: AgentServer, closing: threading.Event
    ) -> None:
        self.server = server
        self.closing = closing
        self.connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def server_close(self) -> None:
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        super().server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An agent that was killed leaves a broken connection; that is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def setup(self) -> None:
        self.server.connections.add(self.request)
        super().setup()

    def finish(self) -> None:
        self.server.connections.discard(self.request)
        super().finish()

    def do_GET(self) -> None:
        self._send(self.server.server.answer_get(self.path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.server.answer(self.path, body, dict(self.headers.items()))
        if answer is None:
            self.server.closing.wait()
        if answer is None or self.server.closing.is_set():
            self.close_connection = True
            return
        self._send(answer)

    def _send(self, answer: Answer) -> None:
        data = json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the test's own output is what counts."""


@contextmanager
def serving() -> Iterator[AgentServer]:
    """A server for the length of a test."""
    server = AgentServer()
    try:
        yield server
    finally:
        server.close()


def until(condition: Callable[[], object], what: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; far longer than it should take, as the machine may be busy."""
    give_up_at_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < give_up_at_s, f"waited {patience_s:g} s in vain: {what}"
        time.sleep(0.01)
