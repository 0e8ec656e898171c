"""One directory that holds everything `metrist up` keeps."""

import contextlib
import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StartRefused

LOOPBACK = "127.0.0.1"
STORES = ("clickhouse", "redis")
UNUSABLE = frozenset("?&%#")
"""Characters of a path that chDB or a database URL would take for something else."""


@dataclass(frozen=True)
class DataDir:
    """Where what lies; all of it readable by its owner only."""

    root: Path

    @property
    def engine(self) -> Path:
        return self.root / "clickhouse"

    @property
    def valkey(self) -> Path:
        return self.root / "valkey"

    @property
    def control_db(self) -> Path:
        return self.root / "control.db"

    @property
    def spool(self) -> Path:
        return self.root / "spool"

    @property
    def agent(self) -> Path:
        return self.root / "agent"

    @property
    def agent_key(self) -> Path:
        return self.root / "agent.key"

    @property
    def address(self) -> Path:
        """Where the platform was reached last, for commands that print links."""
        return self.root / "address"

    @property
    def releases(self) -> Path:
        return self.root / "releases"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def restoring(self) -> Path:
        """There while a restore is at work, and after one that was cut off."""
        return self.root / "restoring"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


@contextlib.contextmanager
def hold(path: Path, *, restores: bool = False) -> Iterator[DataDir]:
    """Make the directory if need be, and have it for ourselves alone. Raises StartRefused.

    Who does not restore it refuses one that was restored in part.

    The lock is the kernel's: it ends with this process, however that ends, and children do not inherit it.
    """
    data = DataDir(path.resolve())
    if not UNUSABLE.isdisjoint(str(data.root)):
        raise StartRefused(f"a data directory may have none of {' '.join(sorted(UNUSABLE))} in its path: {data.root}")
    try:
        data.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (data.root / "lock").open("a+")
    except OSError as error:
        raise StartRefused(f"cannot use {data.root} as data directory: {error.strerror}") from None
    with lock:
        _lock(lock.fileno(), data, holder=_read_holder(data))
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        if data.restoring.exists() and not restores:
            raise StartRefused(f"{data.root} holds a restore that was cut off: remove it, and restore again")
        yield data


def passwords(data: DataDir) -> dict[str, str]:
    """One password per embedded store, drawn at the first start."""
    path = data.root / "passwords.json"
    if not path.exists():
        write_private(path, json.dumps({store: secrets.token_urlsafe(24) for store in STORES}))
    found: dict[str, str] = json.loads(path.read_text())
    return found


def ports(data: DataDir) -> dict[str, int]:
    """One loopback port per embedded store: the one of last time, or another if that is taken now."""
    path = data.root / "ports.json"
    before: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}
    with contextlib.ExitStack() as held:  # all at once, so that no port is given out twice
        now = {store: held.enter_context(_reserve(before.get(store, 0))).getsockname()[1] for store in STORES}
    write_private(path, json.dumps(now))
    return now


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _lock(fileno: int, data: DataDir, holder: str) -> None:
    try:
        fcntl.flock(fileno, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise StartRefused(
            f"another `metrist up`{holder} is running on {data.root}; stop it, or pass --data DIR"
        ) from None


def _read_holder(data: DataDir) -> str:
    pid = (data.root / "lock").read_text().strip()
    return f" (process {pid})" if pid else ""


def _reserve(port: int) -> socket.socket:
    with contextlib.suppress(OSError):
        return _bound(port)
    return _bound(0)


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        raise
    return bound
