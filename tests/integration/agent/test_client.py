"""The agent's HTTP client, against servers and proxies that do not behave."""

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from agent.client import REPLY_MAX_BYTES, Client, Unreachable
from agent.proxy import proxy_for
from tests.agent_server import AgentServer, serving

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class RawServer:
    """Takes each connection in turn, reads one request, and does what it was told."""

    def __init__(self, *acts: Callable[[socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(acts,))
        self._thread.start()

    def _serve(self, acts: tuple[Callable[[socket.socket], None], ...]) -> None:
        for act in acts:
            connection, _ = self._listener.accept()
            with connection:
                self.requests.append(read_request(connection))
                act(connection)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def read_request(connection: socket.socket) -> bytes:
    """All of it: a connection closed with something unread is reset, and its answer may be lost."""
    with connection.makefile("rb") as file:
        head = b"".join(iter(file.readline, b"\r\n"))
        length = re.search(rb"Content-Length: (\d+)", head)
        return head + file.read(int(length[1]) if length else 0)


def answer(data: bytes) -> Callable[[socket.socket], None]:
    return lambda connection: connection.sendall(data)


def drip(connection: socket.socket) -> None:
    """One byte now and then, as long as somebody listens."""
    try:
        for byte in b"HTTP/1.1 200 OK\r\n" + b"X-Slow: yes\r\n" * 100:
            connection.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        return


def posted(server: RawServer, times: int = 1, timeout_s: float = 5) -> list[int]:
    with closing(server), closing(Client(f"http://127.0.0.1:{server.port}", {})) as client:
        return [client.post("/p", b"{}", {}, timeout_s).status for _ in range(times)]


def test_a_connection_the_server_closed_meanwhile_is_replaced() -> None:
    server = RawServer(answer(OK), answer(OK))
    assert posted(server, times=2) == [200, 200]
    assert len(server.requests) == 2


def test_a_server_that_drips_is_given_up_in_time() -> None:
    started_s = time.monotonic()
    with pytest.raises(Unreachable, match="no answer in time"):
        posted(RawServer(drip), timeout_s=0.3)
    assert time.monotonic() - started_s < 3


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "closed connection without response"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "its answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (REPLY_MAX_BYTES + 1), "longer than"),
    ],
    ids=["nothing", "another protocol", "without end"],
)
def test_what_is_no_answer(data: bytes, reason: str) -> None:
    with pytest.raises(Unreachable, match=reason):
        posted(RawServer(answer(data)))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Unreachable, match="Connection refused"):
        Client(f"http://127.0.0.1:{port}", {}).post("/p", b"", {}, 5)


def test_an_abort_ends_the_request_under_way_and_all_later_ones() -> None:
    with serving() as server, closing(Client(server.url, {})) as client:
        server.judge = lambda _post: None
        threading.Timer(0.2, client.abort).start()
        for _ in range(2):
            with pytest.raises(Unreachable):
                client.post("/api/v1/snapshots", b"", {"Metrist-Batch-Id": "b"}, 30)
        assert len(server.posts) == 1


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[AgentServer]:
    """A server that plays proxy, named by the environment."""
    with serving() as server:
        monkeypatch.setenv("http_proxy", server.url.replace("http://", "http://us%40er:pass@"))
        yield server


def test_a_proxy_gets_the_whole_address_and_its_password(proxy: AgentServer) -> None:
    with closing(Client("http://metrist.example:8600/m", {})) as client:
        client.post("/api/v1/snapshots", b"", {"Metrist-Batch-Id": "b"}, 5)
    (post,) = proxy.posts
    assert post.path == "http://metrist.example:8600/m/api/v1/snapshots"
    assert post.headers["Host"] == "metrist.example:8600"
    assert post.headers["Proxy-Authorization"] == "Basic dXNAZXI6cGFzcw=="


def test_tls_goes_through_a_tunnel_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    server = RawServer(answer(b"HTTP/1.1 403 Forbidden\r\n\r\n"))
    monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.port}")
    with closing(server), pytest.raises(Unreachable, match="403"):
        Client("https://metrist.example", {}).post("/p", b"", {}, 5)
    assert server.requests[0].startswith(b"CONNECT metrist.example:443 HTTP/1.")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "inside.example"])
def test_no_proxy_to_this_machine_or_where_none_is_wanted(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert proxy_for(urlsplit(f"http://{host}:8600")) is None
    assert proxy_for(urlsplit("http://outside.example")) is not None
