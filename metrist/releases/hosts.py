"""Who has the processes started again after `current` has changed: `metrist up`, systemd, or nobody."""

import contextlib
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from domain.settings import Settings
from metrist.datadir import DataDir
from metrist.releases import status
from metrist.releases.errors import ReleaseBad, UpgradeRefused
from metrist.releases.facts import STORES

SWITCHED_WITHIN_S = 180.0
LOOK_EVERY_S = 0.1
RESTARTS = 2
"""So many of a release that has just begun are no accident."""
OWN = ("METRIST_PULSE_FD",)
"""What belongs to one process, and means nothing to another."""
PIECES = ("api", "worker", "scheduler", "agent")


class Host(Protocol):
    """What an upgrade asks of whoever runs the processes."""

    @property
    def address(self) -> str:
        """Where the API answers, without a slash at its end."""
        ...

    def switch(self, version: str, stores: tuple[str, ...]) -> None:
        """Have the processes run `version`, and of the stores these; returns when all are well. Raises ReleaseBad."""
        ...

    def restarts(self) -> int:
        """How often processes had to be started again by now."""
        ...


class Up:
    """A `metrist up` looks at `current` itself and tells in a file how far it is."""

    def __init__(self, data: DataDir) -> None:
        self._data = data

    @property
    def address(self) -> str:
        return status.read(self._data).address

    def switch(self, version: str, stores: tuple[str, ...]) -> None:
        deadline, before = time.monotonic() + SWITCHED_WITHIN_S, self.restarts()
        while time.monotonic() < deadline:
            told = status.read(self._data)
            if told.version == version and told.failure:
                raise ReleaseBad(told.failure)
            if told.version == version and told.is_settled:
                return
            if told.restarts - before >= RESTARTS:
                raise ReleaseBad(f"its processes had to be started again {told.restarts - before} times")
            time.sleep(LOOK_EVERY_S)
        raise ReleaseBad(f"its processes were not well after {SWITCHED_WITHIN_S:.0f} s")

    def restarts(self) -> int:
        return status.read(self._data).restarts


class Systemd:
    """Units of the user's own systemd. Their wrapper looks at `current`; the API's socket is a unit that stays."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def address(self) -> str:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._settings.host, self._settings.host)  # noqa: S104
        return f"http://[{host}]:{self._settings.port}" if ":" in host else f"http://{host}:{self._settings.port}"

    def switch(self, version: str, stores: tuple[str, ...]) -> None:
        for name in (*stores, *PIECES):
            try:
                systemctl("reset-failed", _unit(name))
                systemctl("try-restart", _unit(name))
            except UpgradeRefused as error:
                raise ReleaseBad(error.detail) from None

    def restarts(self) -> int:
        told = systemctl("show", "--property=NRestarts", "--value", *map(_unit, (*STORES, *PIECES)))
        return sum(int(word) for word in told.split() if word.isdecimal())


def find(data: DataDir | None, settings: Settings) -> Host | None:
    """Who runs the processes: the `metrist up` of this data directory, or else units of systemd; None when nobody."""
    if data is not None:
        return Up(data) if is_up(data) else None
    with contextlib.suppress(UpgradeRefused):
        if systemctl("is-active", _unit("api")).strip() == "active":
            return Systemd(settings)
    return None


def is_up(data: DataDir) -> bool:
    """Whether a `metrist up` runs here, and tells how it is."""
    try:
        return "up" in psutil.Process(status.read(data).pid or -1).cmdline()
    except (psutil.Error, ValueError):  # it has ended; its number may be another's by now
        return False


@dataclass(frozen=True)
class Environment:
    """What the pieces of a running `metrist up` have that this process does not know: settings, and where `.env` is."""

    settings: Mapping[str, str]
    folder: Path


def environment(data: DataDir) -> Environment:
    """Ask one of the pieces. Raises UpgradeRefused when none runs just now."""
    for name in ("api", "worker", "scheduler"):
        with contextlib.suppress(OSError, ValueError, IndexError, psutil.Error):
            pid = int((data.run / f"{name}.pid").read_text().split()[0])
            piece = psutil.Process(pid)
            found = {key: value for key, value in piece.environ().items() if key.startswith("METRIST_")}
            return Environment({key: value for key, value in found.items() if key not in OWN}, Path(piece.cwd()))
    raise UpgradeRefused(f"no process of the `metrist up` in {data.root} runs just now; try again in a minute")


def is_used(release: Path) -> bool:
    """Whether a process still runs from this folder."""
    inside = f"{release.resolve()}{os.sep}"
    for process in psutil.process_iter(["cmdline"]):
        if any(word.startswith(inside) for word in process.info["cmdline"] or ()):
            return True
    return False


def systemctl(*arguments: str) -> str:
    """What it said. Raises UpgradeRefused with its reason."""
    try:
        done = subprocess.run(  # noqa: S603
            ["systemctl", "--user", "--no-pager", *arguments],  # noqa: S607
            capture_output=True,
            text=True,
            timeout=SWITCHED_WITHIN_S,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        words = (error.stderr.strip() or error.stdout.strip()).splitlines() or [f"exit code {error.returncode}"]
        raise UpgradeRefused(f"systemctl {' '.join(arguments)}: {words[0][:300]}") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UpgradeRefused(f"systemctl {' '.join(arguments)}: {type(error).__name__}") from None
    return done.stdout


def _unit(name: str) -> str:
    return f"metrist-{name}.service"
