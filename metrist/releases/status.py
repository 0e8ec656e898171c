"""What a `metrist up` tells of itself, in a file of its data directory, to whoever upgrades it."""

import json
from dataclasses import asdict, dataclass

from metrist.datadir import DataDir, write_private


@dataclass(frozen=True)
class Status:
    """How far it is.

    version     the release whose processes it runs, or is about to
    is_settled  all of them run it, and were well
    failure     why one of them does not
    restarts    how often it had to start a process again
    """

    pid: int = 0
    address: str = ""
    version: str = ""
    is_settled: bool = False
    failure: str = ""
    restarts: int = 0


def write(data: DataDir, status: Status) -> None:
    """Tell it, whole or not at all."""
    data.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(data.run / "release.json", json.dumps(asdict(status)))


def read(data: DataDir) -> Status:
    """What was told last; an empty one when nothing was."""
    try:
        return Status(**json.loads((data.run / "release.json").read_text()))
    except (OSError, ValueError, TypeError):
        return Status()


def forget(data: DataDir) -> None:
    """What was told holds no more: nobody follows."""
    (data.run / "release.json").unlink(missing_ok=True)
