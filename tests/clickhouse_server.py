"""The ClickHouses that the same tests run against: our engine, a real server by its URL, a real server in Docker."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.client import Client

IMAGE = "clickhouse/clickhouse-server:26.9"
START_WITHIN_S = 20
STOP_WITHIN_S = 6


@dataclass(frozen=True)
class Server:
    """Where a ClickHouse listens and who may ask it."""

    host: str
    port: int
    username: str
    password: str

    @property
    def url(self) -> str:
        """Without the password."""
        return f"http://{self.host}:{self.port}/"

    def client(self, **options: Any) -> Client:
        """A client of clickhouse-connect."""
        return clickhouse_connect.get_client(
            host=self.host, port=self.port, username=self.username, password=self.password, **options
        )

    def http(self, **options: Any) -> httpx.Client:
        """Plain HTTP, with the right password."""
        return httpx.Client(base_url=self.url, auth=(self.username, self.password), timeout=60, **options)


@dataclass(frozen=True)
class Process:
    """Our engine as a process of its own."""

    server: Server
    popen: subprocess.Popen[bytes]
    directory: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop; its exit code."""
        self.popen.send_signal(number)
        return self.popen.wait(STOP_WITHIN_S)


@contextmanager
def start_engine(directory: Path) -> Iterator[Process]:
    """Run our engine on a free port until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server("127.0.0.1", port, "metrist", f"secret {uuid4()}")
    told = {
        "METRIST_ENGINE_DIR": str(directory),
        "METRIST_ENGINE_PORT": str(port),
        "METRIST_ENGINE_USER": server.username,
        "METRIST_ENGINE_PASSWORD": server.password,
    }
    popen = subprocess.Popen([sys.executable, "-m", "metrist.engine"], env={**os.environ, **told})
    try:
        wait_for(server, popen)
        yield Process(server, popen, directory)
    finally:
        if popen.poll() is None:
            popen.kill()
        popen.wait()


def wait_for(server: Server, popen: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until a ClickHouse answers."""
    deadline_s = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline_s and (popen is None or popen.poll() is None):
        try:
            if httpx.get(f"{server.url}ping").text == "Ok.\n":
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail(f"no ClickHouse at {server.url}")


@pytest.fixture(scope="session", params=["engine", "url", "docker"])
def clickhouse_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each ClickHouse there is: the engine always, the others where they can be had."""
    if request.param == "url":
        yield _given()
    elif request.param == "docker":
        yield from _contained()
    else:
        directory = Path(tempfile.mkdtemp(prefix="metrist-engine-"))
        with start_engine(directory) as engine:
            yield engine.server
        shutil.rmtree(directory)


@pytest.fixture
def clickhouse_database(clickhouse_server: Server) -> Iterator[str]:
    """The name of an empty database, which is dropped afterwards."""
    name = f"test_{uuid4().hex}"
    with clickhouse_server.client() as client:
        client.command(f"CREATE DATABASE {name}")
        yield name
        client.command(f"DROP DATABASE {name} SYNC")


def _given() -> Server:
    url = urlsplit(os.environ.get("METRIST_TEST_CLICKHOUSE_URL", ""))
    if not url.hostname:
        pytest.skip("no real ClickHouse: METRIST_TEST_CLICKHOUSE_URL is not set (http://user:password@host:8123)")
    return Server(url.hostname, url.port or 8123, unquote(url.username or "default"), unquote(url.password or ""))


def _contained() -> Iterator[Server]:
    if reason := why_no_docker():
        pytest.skip(f"no real ClickHouse: {reason}")
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(IMAGE).with_exposed_ports(8123)
    for name, value in (("USER", "metrist"), ("PASSWORD", "metrist"), ("DEFAULT_ACCESS_MANAGEMENT", "1")):
        container.with_env(f"CLICKHOUSE_{name}", value)
    with container as started:
        address = started.get_container_host_ip(), int(started.get_exposed_port(8123))
        server = Server(*address, "metrist", "metrist")
        wait_for(server)
        yield server


def why_no_docker() -> str:
    """Empty when a Docker engine answers. The `docker` package is asked last: when it fails, it leaves sockets open."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if host.startswith("unix://"):
        try:
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(host.removeprefix("unix://"))
        except OSError as error:
            return f"no Docker engine listens at {host} ({error.strerror})"
    elif not shutil.which("docker"):
        return "Docker is not installed"
    return ""
