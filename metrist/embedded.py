"""The stores that `metrist up` brings along, unless the operator names others."""

import json
from dataclasses import dataclass

from domain.errors import StartRefused
from domain.settings import Settings
from metrist import datadir
from metrist.datadir import LOOPBACK, DataDir
from metrist.environment import is_set

ENGINE_USER = "metrist"


@dataclass(frozen=True)
class Store:
    """Where an embedded store listens, and its password."""

    port: int
    password: str


@dataclass(frozen=True)
class Embedded:
    """The embedded stores of a data directory; None is one that the operator has elsewhere."""

    engine: Store | None
    valkey: Store | None


def embed(settings: Settings, data: DataDir) -> Embedded:
    """Decide which stores to bring, and where they listen this time."""
    passwords, ports = datadir.passwords(data), datadir.ports(data)
    stores = {name: Store(ports[name], passwords[name]) for name in datadir.STORES}
    return Embedded(
        engine=None if is_set(settings, "clickhouse_url") else stores["clickhouse"],
        valkey=None if is_set(settings, "redis_url") else stores["redis"],
    )


def last(settings: Settings, data: DataDir) -> Embedded:
    """The stores of a data directory where they listen, or did last. Raises StartRefused where there were none."""
    try:
        passwords = json.loads((data.root / "passwords.json").read_text())
        ports = json.loads((data.root / "ports.json").read_text())
        stores = {name: Store(ports[name], passwords[name]) for name in datadir.STORES}
    except (OSError, ValueError, KeyError):
        raise StartRefused(f"{data.root} is no data directory of a `metrist up`") from None
    return Embedded(
        engine=None if is_set(settings, "clickhouse_url") else stores["clickhouse"],
        valkey=None if is_set(settings, "redis_url") else stores["redis"],
    )


def redis_url(data: DataDir) -> str | None:
    """Where the data directory's own Redis listens, or did last; None when it never brought one."""
    try:
        password = json.loads((data.root / "passwords.json").read_text())["redis"]
        port = json.loads((data.root / "ports.json").read_text())["redis"]
    except (OSError, ValueError, KeyError):
        return None
    return _redis_url(Store(port, password))


def variables(settings: Settings, data: DataDir, embedded: Embedded) -> dict[str, str]:
    """What the pieces must be told, as settings: this is all they know of being embedded."""
    told = {"METRIST_HOST": settings.host, "METRIST_PORT": str(settings.port)}
    if embedded.engine:
        engine = embedded.engine
        told["METRIST_CLICKHOUSE_URL"] = f"http://{ENGINE_USER}:{engine.password}@{LOOPBACK}:{engine.port}/default"
    if embedded.valkey:
        told["METRIST_REDIS_URL"] = _redis_url(embedded.valkey)
    if not is_set(settings, "database_url"):
        told["METRIST_DATABASE_URL"] = f"sqlite:///{data.control_db}"
    if not is_set(settings, "spool_dir"):
        told["METRIST_SPOOL_DIR"] = str(data.spool)
    told["METRIST_RELEASES_DIR"] = str(data.releases)
    return told


def _redis_url(store: Store) -> str:
    return f"redis://:{store.password}@{LOOPBACK}:{store.port}/0"
