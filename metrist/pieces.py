"""Every piece that `metrist up` may start: its command, how it is asked whether it is well, how it is stopped."""

import socket
import sys
from collections.abc import Mapping

from metrist import health, valkey
from metrist.child import Piece
from metrist.datadir import LOOPBACK, DataDir
from metrist.embedded import Embedded, Store
from schema.keys import process_alive

PYTHON = [sys.executable, "-P", "-m"]
"""-P: a folder `api` where the operator happens to stand must not be taken for ours."""
STOP_ORDER = (("agent",), ("api",), ("scheduler", "worker"), ("engine", "valkey"))
"""Who asks goes before who answers; the times of the stages add up to supervisor.STOP_WITHIN_S."""

Env = Mapping[str, str]


def metrist(*arguments: str) -> list[str]:
    """The command line of one of our own subcommands."""
    return [*PYTHON, "metrist", *arguments]


def engine(data: DataDir, store: Store, env: Env) -> Piece:
    """ClickHouse in a process of ours; user and password are in METRIST_CLICKHOUSE_URL."""
    command = metrist("engine", "--dir", str(data.engine), "--host", LOOPBACK, "--port", str(store.port))
    return Piece("engine", command, env, health.http(LOOPBACK, store.port, "/ping"), stop_within_s=3.0)


def redis(data: DataDir, store: Store, env: Env) -> Piece:
    """The Valkey server."""
    command = [str(valkey.binary()), str(valkey.write_config(data.valkey, store))]
    return Piece("valkey", command, env, health.redis(LOOPBACK, store.port, store.password), stop_within_s=1.5)


def api(listener: socket.socket, env: Env) -> Piece:
    """The API and the pages. We hold the socket, so that a caller waits through a restart instead of being refused."""
    host, port = reachable(listener)
    is_well = health.http(host, port, "/healthz")
    return Piece("api", metrist("api"), env, is_well, stop_within_s=3.7, listener=listener, has_pulse=True)


def background(name: str, embedded: Embedded, env: Env) -> Piece:
    """The worker or the scheduler: well while it shows its sign of life in Redis."""
    return Piece(name, metrist(name), env, sign_of_life(name, embedded.valkey), stop_within_s=1.3)


def agent(listener: socket.socket, data: DataDir, env: Env) -> Piece:
    """An agent for this machine."""
    host, port = reachable(listener)
    server = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    told = {
        "METRIST_SERVER": server,
        "METRIST_KEY": "",  # the operator's own may be for another server
        "METRIST_KEY_FILE": str(data.agent_key),
        "METRIST_AGENT_STATE": str(data.agent),
    }
    return Piece("agent", metrist("agent"), {**env, **told}, health.always, stop_within_s=1.0)


def sign_of_life(name: str, store: Store | None) -> health.Check:
    """A Redis elsewhere may hold the sign of another machine's process, so there only the process itself counts."""
    return health.redis_key(LOOPBACK, store.port, store.password, process_alive(name)) if store else health.always


def reachable(listener: socket.socket) -> tuple[str, int]:
    """Where this machine itself finds a listening socket."""
    host, port = listener.getsockname()[:2]
    return {"0.0.0.0": LOOPBACK, "::": "::1"}.get(host, host), port  # noqa: S104
