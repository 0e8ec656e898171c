"""What monitors reach through the agent, against real servers, files and commands; and what they do not."""

import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.monitors import network
from agent.monitors.allowed import Allowed, allowed
from agent.monitors.reach import Reach
from agent.sandbox import Inputs, Limits, Refused, Unable, run

ALL = ("http", "tcp", "file", "exec")


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/slow":
            for _ in range(100):
                self.wfile.write(b"H")
                time.sleep(0.05)
        body = b"x" * 300_000 if self.path == "/big" else f"{self.path} {self.headers['X-Ask']}".encode()
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Location", "/other")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Pages(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A monitor that hangs up is no news."""


@contextmanager
def pages(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server's port."""
    server = _Pages(("127.0.0.1", 0), _Page)
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def port() -> Iterator[int]:
    with pages() as port:
        yield port


def test_http(port: int) -> None:
    answer = ask("http", "http.get", url=f"http://127.0.0.1:{port}/a?b=c", headers={"X-Ask": "hello"})
    assert (answer["status"], answer["body"], answer["truncated"]) == (200, "/a?b=c hello", False)
    assert answer["headers"]["content-length"] == "12" and answer["took_ms"] > 0
    assert ask("http", "http.get", url=f"http://127.0.0.1:{port}/away")["status"] == 302
    big = ask("http", "http.get", url=f"http://127.0.0.1:{port}/big")
    assert (len(big["body"]), big["truncated"]) == (network.BODY_MAX_BYTES, True)


def test_a_monitor_gets_a_page(port: int) -> None:
    reach = Reach(Allowed(frozenset({"http"})), ("http",))
    source = (
        "local page = http.get{url = param('url')} gauge('status', page.status) log(page.body, page.headers.location)"
    )
    result = run(source, Inputs(parameters={"url": f"http://127.0.0.1:{port}/a"}), ask=reach.ask)
    assert (result.message, result.samples[0].value, result.log) == ("", 200, ["/a None\t/other"])


def test_a_page_that_drips_is_given_up_in_time(port: int) -> None:
    began_s = time.monotonic()
    with pytest.raises(Unable, match="no answer in time"):
        ask("http", "http.get", url=f"http://127.0.0.1:{port}/slow", timeout=0.3)
    assert time.monotonic() - began_s < 2
    result = run(
        "log(http.get{url = param('url')})",
        Inputs(parameters={"url": f"http://127.0.0.1:{port}/slow"}),
        Limits(wall_s=1.0),
        Reach(Allowed(frozenset({"http"})), ("http",)).ask,
    )
    assert (result.state, result.log) == ("ok", ["nil\tno answer in time"]), "the monitor itself hears of it"


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        ("ftp://x/", Unable, "is no address"),
        ("http://user:pw@127.0.0.1/", Unable, "is no address"),
        ("file:///etc/passwd", Unable, "is no address"),
        ("http://127.0.0.1:99999/", Unable, "Port"),
        ("http://127.0.0.1:1/", Unable, "Connection refused"),
        ("http://no-such-host.invalid/", Unable, "cannot be resolved"),
        ("http://169.254.169.254/latest/meta-data", Refused, "link-local"),
        ("http://[fe80::1%251]/", Refused, "link-local"),
    ],
)
def test_addresses_that_lead_nowhere(url: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        ask("http", "http.get", url=url, timeout=2)


@pytest.mark.parametrize("headers", [{"Host": "x"}, {"content-length": "5"}, {"A": "b\r\nC: d"}, {"A b": "c"}])
def test_headers_that_are_not_a_monitors(port: int, headers: Mapping[str, str]) -> None:
    with pytest.raises(Unable, match="is not a monitor's to set"):
        ask("http", "http.get", url=f"http://127.0.0.1:{port}/", headers=headers)


def test_an_address_brings_no_header(port: int) -> None:
    with pytest.raises(Unable, match="control characters"):
        ask("http", "http.get", url=f"http://127.0.0.1:{port}/a HTTP/1.1\r\nX-Ask: y")


def test_tcp(port: int) -> None:
    assert 0 < ask("tcp", "tcp.check", host="127.0.0.1", port=port) < 2000
    with pytest.raises(Unable, match="Connection refused"):
        ask("tcp", "tcp.check", host="127.0.0.1", port=1)


def test_only_the_hosts_that_are_named(port: int) -> None:
    within = allowed(f"tcp=127.0.0.1:{port},http=example.invalid")
    assert within is not None
    reach = Reach(within, ALL)
    until_s = time.monotonic() + 5
    assert reach.ask("tcp.check", {"host": "127.0.0.1", "port": port}, until_s) > 0
    for kind, args in (
        ("tcp.check", {"host": "127.0.0.1", "port": 1}),
        ("tcp.check", {"host": "localhost", "port": port}),
        ("http.get", {"url": f"http://127.0.0.1:{port}/"}),
    ):
        with pytest.raises(Refused, match="this node allows only"):
            reach.ask(kind, args, until_s)


@pytest.mark.parametrize("days", [30, -3])
def test_the_end_of_a_certificate(tmp_path: Path, days: int) -> None:
    ends = datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)
    with pages(_certified(tmp_path, ends)) as port:
        told = ask("tcp", "tls.expiry", host="127.0.0.1", port=port)
        assert told["expires_at"] == ends.timestamp()
        assert abs(told["expires_in_s"] - days * 86_400) < 60
        assert told["trusted"] is False and told["problem"]
        with pytest.raises(Unable, match="certificate is not trusted"):
            ask("http", "http.get", url=f"https://127.0.0.1:{port}/")
    with pytest.raises(Unable):
        ask("tcp", "tls.expiry", host="127.0.0.1", port=port)


def test_files(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    ask = _reach(tmp_path)
    told = ask("file.stat", path=str(log))
    assert (told["kind"], told["size"]) == ("file", log.stat().st_size) and told["age_s"] < 60
    assert ask("file.stat", path=str(tmp_path))["kind"] == "folder"
    assert ask("file.tail", path=str(log), lines=2)["lines"] == ["line 48", "line 49"]
    with pytest.raises(Unable, match="No such file"):
        ask("file.stat", path=str(tmp_path / "none"))
    with pytest.raises(Unable, match="is no file"):
        ask("file.tail", path=str(tmp_path))


def test_lines_since_the_last_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("old\n")
    ask = _reach(tmp_path)

    def added() -> list[str]:
        lines: list[str] = ask("file.tail", path=str(log), since_last=True)["lines"]
        return lines

    assert added() == []
    with log.open("a") as file:
        file.write("one\ntwo\nhal")
    assert added() == ["one", "two"]
    with log.open("a") as file:
        file.write("f\n")
    assert added() == ["half"]
    log.rename(tmp_path / "log.1")
    log.write_text("new\n")
    assert added() == ["new"]
    log.write_text("cut\n"[:2])
    assert added() == []
    with log.open("a") as file:
        file.write("t\n" + "x" * 400_000 + "\nend\n")
    told = ask("file.tail", path=str(log), since_last=True)
    assert told["lines"][-1] == "end" and told["skipped"] > 100_000


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "{folder}/../../../etc/passwd", "{folder}/link", "{folder}x", "/proc/self/environ"]
)
def test_files_elsewhere(tmp_path: Path, path: str) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    ask = _reach(folder)
    for kind in ("file.stat", "file.tail"):
        with pytest.raises(Refused, match="this node allows files in"):
            ask(kind, path=path.format(folder=folder))


def test_secrets_of_processes_and_files_that_wait(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="secrets of processes"):
        _reach(Path("/"))("file.tail", path="/proc/self/environ")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Unable, match="is no file"):
        _reach(tmp_path)("file.tail", path=str(tmp_path / "pipe"))
    for bad in ("relative", "/a\0b"):
        with pytest.raises(Unable, match="a path begins with /"):
            _reach(tmp_path)("file.stat", path=bad)


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRIST_KEY", "mtr_secret")
    ask = _reach(tmp_path)
    command(tmp_path, "both", "echo out; echo err >&2; env; exit 3")
    told = ask("exec.run", name="both")
    assert told["code"] == 3 and told["output"].startswith("out\nerr\n") and "secret" not in told["output"]
    command(tmp_path, "flood", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxx; done")
    told = ask("exec.run", name="flood")
    assert (told["code"], told["truncated"], len(told["output"])) == (-9, True, 65_536)
    command(tmp_path, "slow", "sleep 60 & sleep 60")
    began_s = time.monotonic()
    with pytest.raises(Unable, match="slow took too long"):
        ask("exec.run", name="slow", until_s=time.monotonic() + 0.5)
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize("name", ["none", "../x", "a b", "", "link", "loose", "plain", "folder", "-x", "both;x"])
def test_commands_that_are_not_run(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/bin/true")
    command(tmp_path, "loose", "true").chmod(0o777)
    command(tmp_path, "plain", "true").chmod(0o644)
    (tmp_path / "folder").mkdir()
    with pytest.raises(Refused):
        _reach(tmp_path)("exec.run", name=name)


def test_a_folder_that_others_may_write_to(tmp_path: Path) -> None:
    command(tmp_path, "x", "true")
    tmp_path.chmod(0o777)
    with pytest.raises(Refused, match="may change it"):
        _reach(tmp_path)("exec.run", name="x")


def test_processes() -> None:
    name = Path("/proc/self/comm").read_text().strip()
    assert Reach(Allowed(), ()).ask("processes", {"name": name}, time.monotonic() + 5) >= 1
    assert Reach(Allowed(), ()).ask("processes", {"name": "no such process"}, time.monotonic() + 5) == 0


def test_what_is_not_allowed_or_not_declared() -> None:
    until_s = time.monotonic() + 5
    with pytest.raises(Refused, match="this node does not allow http"):
        Reach(Allowed(), ALL).ask("http.get", {"url": "http://127.0.0.1/"}, until_s)
    with pytest.raises(Refused, match="does not declare"):
        Reach(Allowed(frozenset(ALL)), ("tcp",)).ask("http.get", {"url": "http://127.0.0.1/"}, until_s)
    with pytest.raises(Unable, match="does not know"):
        Reach(Allowed(frozenset(ALL)), ALL).ask("os.execute", {}, until_s)


def command(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def ask(capability: str, kind: str, **args: Any) -> Any:
    reach = Reach(Allowed(frozenset({capability})), (capability,))
    return reach.ask(kind, args, time.monotonic() + 10)


def _reach(folder: Path) -> Callable[..., Any]:
    reach = Reach(Allowed(frozenset(ALL), folders=(folder,), commands=folder), ALL)

    def ask(kind: str, until_s: float | None = None, **args: Any) -> Any:
        return reach.ask(kind, args, until_s or time.monotonic() + 10)

    return ask


def _certified(folder: Path, ends: datetime) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "web-1")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    path = folder / "both.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
