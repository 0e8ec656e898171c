"""A real Redis for tests: the Valkey that `metrist up` brings along, as a process that can be killed and restarted."""

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from metrist.embedded import Store
from metrist.valkey import binary, write_config

START_WITHIN_S = 10


@dataclass
class Valkey:
    """One server with its append-only file, on a port and in a folder of its own."""

    folder: Path
    store: Store
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"redis://:{self.store.password}@127.0.0.1:{self.store.port}/0"

    def client(self) -> redis.Redis:
        """A synchronous client as the scheduler has one, but impatient."""
        return redis.Redis.from_url(self.url, socket_timeout=5, socket_connect_timeout=5, retry=Retry(NoBackoff(), 1))

    def start(self) -> "Valkey":
        """Start it and wait until it answers; what it held before a kill is there again."""
        config = write_config(self.folder, self.store)
        self.process = subprocess.Popen([binary(), config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until_s = time.monotonic() + START_WITHIN_S
        with closing(self.client()) as client:
            while time.monotonic() < until_s and self.process.poll() is None:
                try:
                    client.ping()
                    return self
                except RedisError:
                    time.sleep(0.02)
        pytest.fail(f"Valkey does not answer at port {self.store.port}")

    def kill(self) -> None:
        """As the kernel does it when memory is short."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def start_valkey() -> Iterator[Valkey]:
    """Run a server until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="metrist-valkey-"))
    server = Valkey(folder, Store(port, uuid4().hex)).start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """The server that most tests share."""
    with start_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The shared server, emptied."""
    with closing(valkey_server.client()) as client:
        client.flushall()
    return valkey_server


@pytest.fixture
def own_valkey() -> Iterator[Valkey]:
    """A server of the test's own, to be killed and restarted."""
    with start_valkey() as server:
        yield server


@pytest.fixture
def redis_sync(valkey: Valkey) -> Iterator[redis.Redis]:
    """A client of the shared, emptied server."""
    with closing(valkey.client()) as client:
        yield client
