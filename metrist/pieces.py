"""Every piece that `metrist up` may start: its command, how it is asked whether it is well, how it is stopped."""

import socket
from collections.abc import Mapping
from dataclasses import dataclass

from metrist import health, valkey
from metrist.child import Piece
from metrist.datadir import LOOPBACK, DataDir
from metrist.embedded import Embedded, Store
from metrist.releases.facts import Program, running
from schema.keys import process_alive

START_ORDER = ("valkey", "engine", "api", "worker", "scheduler", "agent")
STOP_ORDER = (("agent",), ("api",), ("scheduler", "worker"), ("engine", "valkey"))
"""Who asks goes before who answers; the times of the stages add up to supervisor.STOP_WITHIN_S."""

Env = Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """All that a piece is made of but the release that it runs."""

    data: DataDir
    embedded: Embedded
    env: Env
    listener: socket.socket

    def make(self, name: str, release: Program) -> Piece:
        """The piece of that name, run by this release."""
        if name == "engine" and self.embedded.engine:
            return engine(self.data, self.embedded.engine, self.env, release)
        if name == "valkey" and self.embedded.valkey:
            return redis(release, self.data, self.embedded.valkey, self.env)
        if name == "api":
            return api(release, self.listener, self.env)
        if name == "agent":
            return agent(release, self.listener, self.data, self.env)
        return background(release, name, self.embedded, self.env)


def metrist(release: Program, *arguments: str) -> list[str]:
    """The command line of one of our own subcommands."""
    return [*python(release), "metrist", *arguments]


def python(release: Program) -> list[str]:
    """-P: a folder `api` where the operator happens to stand must not be taken for ours."""
    return [str(release.python), "-P", "-m"]


def engine(data: DataDir, store: Store, env: Env, release: Program | None = None) -> Piece:
    """ClickHouse in a process of ours; user and password are in METRIST_CLICKHOUSE_URL. No release is our own."""
    command = metrist(
        release or running(), "engine", "--dir", str(data.engine), "--host", LOOPBACK, "--port", str(store.port)
    )
    return Piece("engine", command, env, health.http(LOOPBACK, store.port, "/ping"), stop_within_s=3.0)


def redis(release: Program, data: DataDir, store: Store, env: Env) -> Piece:
    """The Valkey server."""
    command = [str(release.valkey_server), str(valkey.write_config(data.valkey, store))]
    return Piece("valkey", command, env, health.redis(LOOPBACK, store.port, store.password), stop_within_s=1.5)


def api(release: Program, listener: socket.socket, env: Env) -> Piece:
    """The API and the pages. We hold the socket, so that a caller waits through a restart instead of being refused."""
    host, port = reachable(listener)
    is_well = health.http(host, port, "/healthz")
    return Piece("api", metrist(release, "api"), env, is_well, stop_within_s=3.7, listener=listener, has_pulse=True)


def background(release: Program, name: str, embedded: Embedded, env: Env) -> Piece:
    """The worker or the scheduler: well while it shows its sign of life in Redis."""
    return Piece(name, metrist(release, name), env, sign_of_life(name, embedded.valkey), stop_within_s=1.3)


def agent(release: Program, listener: socket.socket, data: DataDir, env: Env) -> Piece:
    """An agent for this machine."""
    told = {
        "METRIST_SERVER": url(listener),
        "METRIST_KEY": "",  # the operator's own may be for another server
        "METRIST_KEY_FILE": str(data.agent_key),
        "METRIST_AGENT_STATE": str(data.agent),
    }
    return Piece("agent", metrist(release, "agent"), {**env, **told}, health.always, stop_within_s=1.0)


def sign_of_life(name: str, store: Store | None) -> health.Check:
    """A Redis elsewhere may hold the sign of another machine's process, so there only the process itself counts."""
    return health.redis_key(LOOPBACK, store.port, store.password, process_alive(name)) if store else health.always


def url(listener: socket.socket) -> str:
    """The same as an address, without a slash at its end."""
    host, port = reachable(listener)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def reachable(listener: socket.socket) -> tuple[str, int]:
    """Where this machine itself finds a listening socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host), port  # noqa: S104
