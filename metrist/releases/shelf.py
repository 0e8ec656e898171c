"""The folder of installed releases: one virtual environment each, and two links that say which runs.

0.3.0/ 0.2.0/ 0.1.0 → where Metrist was first started from
current → 0.3.0     what shall run
proven  → 0.2.0     what ran well last; the same as `current` but during an upgrade
state.json          the order in which releases proved themselves, which were bad and why, and tries
"""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

from packaging.version import InvalidVersion, Version

from metrist.datadir import write_private
from metrist.releases.errors import UpgradeRefused

KEPT = 3
TRIES = 3
_COMPLETE = "metrist-release"
"""A file that is written when everything else of a release is there."""


@dataclass
class State:
    """What must not be forgotten.

    history  versions in the order in which they proved themselves
    bad      version → why, when
    tries    version → how often its upgrade was begun
    migrated the newest version that has added to the tables; "" when none was recorded
    oldest   no older version may run on what it has made of them
    """

    history: list[str] = field(default_factory=list)
    bad: dict[str, dict[str, str]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    migrated: str = ""
    oldest: str = "0"


class Shelf:
    """Reads may come at any time; who changes something holds the lock."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    def path(self, version: str) -> Path:
        """Where a release lies, or will."""
        return self.root / version

    def python(self, version: str) -> Path:
        """The interpreter of a release, where it really is: a link that changes must not change what runs."""
        return self.path(version).resolve() / "bin" / "python"

    @property
    def current(self) -> str | None:
        """The version that shall run; None when nothing was ever put here."""
        return self._named("current")

    @property
    def proven(self) -> str | None:
        """The version that ran well last."""
        return self._named("proven")

    def installed(self) -> list[str]:
        """Complete releases, the oldest version first."""
        found = [path.name for path in self.root.iterdir() if _is_version(path.name) and self.is_complete(path.name)]
        return sorted(found, key=Version)

    def is_complete(self, version: str) -> bool:
        """Whether everything of it is there; what we were first started from always is, while it is there at all."""
        path = self.path(version)
        return (path / "bin" / "python").exists() and (path.is_symlink() or (path / _COMPLETE).exists())

    def complete(self, version: str) -> None:
        """Note that all of it is on the disk."""
        os.sync()
        (self.path(version) / _COMPLETE).touch()

    def adopt(self, prefix: Path, version: str) -> None:
        """Put an environment that lies elsewhere here, too, under the version that it has now."""
        where = prefix.resolve()  # before a link goes that it may lead through
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self.root.iterdir():
            if path.is_symlink() and _is_version(path.name) and path.resolve() == where:
                path.unlink()
        if self.path(version).is_symlink() or not self.path(version).exists():
            self._link(version, str(where))

    def run(self, version: str) -> None:
        """Say that this release shall run now."""
        self._link("current", version)

    def prove(self, version: str) -> None:
        """Note that it runs well."""
        state = self.state()
        state.history = [each for each in state.history if each != version] + [version]
        state.tries.pop(version, None)
        self._keep(state)
        self._link("proven", version)

    def condemn(self, version: str, reason: str, now: datetime) -> None:
        """Note that it must not be tried again by itself."""
        state = self.state()
        state.bad[version] = {"reason": reason, "at": now.isoformat(timespec="seconds")}
        state.history = [each for each in state.history if each != version]
        self._keep(state)

    def forgive(self, version: str) -> None:
        """The operator wants it tried again."""
        state = self.state()
        state.bad.pop(version, None)
        state.tries.pop(version, None)
        self._keep(state)

    def migrate(self, version: str, oldest: str) -> None:
        """Note that this version is about to add to the tables."""
        state = self.state()
        state.migrated = max(version, state.migrated or "0", key=Version)
        state.oldest = max(oldest, state.oldest, key=Version)
        self._keep(state)

    def may_run_on_newer(self, version: str) -> bool:
        """Whether a newer version has added to the tables, and this one may go on with them: it was rolled back."""
        state = self.state()
        own, newest = Version(version), Version(state.migrated or "0")
        return Version(state.oldest) <= own < newest

    def begin_try(self, version: str) -> int:
        """Count one more try; returns how many there were, this one included."""
        state = self.state()
        state.tries[version] = state.tries.get(version, 0) + 1
        self._keep(state)
        return state.tries[version]

    def state(self) -> State:
        """What is remembered; a file that cannot be read is nothing remembered."""
        try:
            told = json.loads((self.root / "state.json").read_text())
            return State(**{name: told[name] for name in told.keys() & State.__dataclass_fields__.keys()})
        except (OSError, ValueError, TypeError, AttributeError):
            return State()

    def prune(self, is_used: Callable[[Path], bool]) -> list[str]:
        """Remove all but the newest three good ones and what runs or is used by a process; returns what went."""
        state = self.state()
        good = [version for version in self.installed() if version not in state.bad]
        keep = {*good[-KEPT:], *state.history[-2:], self.current, self.proven}
        gone = []
        for path in sorted(self.root.iterdir()):
            if not _is_version(path.name) or path.name in keep or path.is_symlink() or is_used(path):
                continue
            shutil.rmtree(path)
            gone.append(path.name)
        return gone

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one who changes anything here. Raises UpgradeRefused when another is."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.root / "lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UpgradeRefused(f"another upgrade is under way in {self.root}") from None
            yield

    def is_locked(self) -> bool:
        """Whether somebody changes something here just now."""
        try:
            with self.lock():
                return False
        except UpgradeRefused:
            return True

    def _named(self, link: str) -> str | None:
        try:
            return str((self.root / link).readlink())
        except OSError:
            return None

    def _link(self, name: str, target: str) -> None:
        """Set a link in one step: whoever looks finds the old one or the new one."""
        new = self.root / f".{name}.new"
        new.unlink(missing_ok=True)
        new.symlink_to(target)
        new.replace(self.root / name)

    def _keep(self, state: State) -> None:
        write_private(self.root / "state.json", json.dumps(asdict(state), indent=1))


def _is_version(name: str) -> bool:
    try:
        return bool(Version(name))
    except InvalidVersion:
        return False
