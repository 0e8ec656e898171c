"""A real Redis for tests: the Valkey that `metrist up` brings along, as a process that can be killed and restarted."""

import asyncio
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import pytest
import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from metrist.embedded import Store
from metrist.valkey import binary, write_config

T = TypeVar("T")
START_WITHIN_S = 10
COMES_WITHIN_S = 10


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


class Calls:
    """Calls that an API process makes, one after another, and a synchronous client to see what they left behind."""

    def __init__(self, valkey: Valkey, client: redis.Redis) -> None:
        self.url = valkey.url
        self.sync = client

    def run(self, work: Callable[[redis.asyncio.Redis], Awaitable[T]]) -> T:
        async def with_client() -> T:
            async with redis.asyncio.Redis.from_url(self.url) as client:
                return await work(client)

        return asyncio.run(with_client())


def until(is_so: Callable[[], object]) -> None:
    """Wait for it; Redis may be away meanwhile."""
    give_up_s = time.monotonic() + COMES_WITHIN_S
    while time.monotonic() < give_up_s:
        try:
            if is_so():
                return
        except (RedisError, OSError):
            pass
        time.sleep(0.05)
    pytest.fail("it did not come about")


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
