"""From what runs to a newer release, or back; each step of it is one function, and the order is what matters."""

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog
from packaging.version import Version

from domain.settings import Settings
from metrist.releases import facts, rehearse, signing, source
from metrist.releases.choose import Offer, choose, choose_version, sift
from metrist.releases.errors import ReleaseBad, UpgradeRefused
from metrist.releases.hosts import Host, is_used
from metrist.releases.install import install
from metrist.releases.release import Release
from metrist.releases.served import Served
from metrist.releases.shelf import TRIES, Shelf
from metrist.releases.watch import is_well, served_by, watch

log = structlog.get_logger()
MIGRATED_WITHIN_S = 3_600


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade works with.

    host  who runs the processes; None when nobody does, and only the links are set
    env   the settings of the processes, for the new release's own
    """

    shelf: Shelf
    settings: Settings
    host: Host | None
    env: Mapping[str, str]

    def check(self, wanted: str | None = None) -> Release | None:
        """The release that would come next; None when there is none. Changes nothing. Raises UpgradeRefused."""
        running, offer = Version(self._running()), self._offer()
        if wanted is not None:
            return choose_version(offer, running, wanted)
        return choose(offer, running, self.shelf.state().bad)

    def apply(self, wanted: str | None = None) -> str:
        """Bring what is next, or what the operator names; returns what was done, in words. Raises UpgradeRefused."""
        with self.shelf.lock():
            self._take_back_unfinished()
            release = self.check(wanted)
            if release is None:
                return f"{self._running()} is the newest there is"
            if wanted is not None:
                self.shelf.forgive(wanted)
            return self._upgrade_to(release)

    def rollback(self) -> str:
        """Back to the release before this one, and remember that this one is not wanted. Raises UpgradeRefused."""
        with self.shelf.lock():
            self._take_back_unfinished()
            running = self._running()
            before = [version for version in self.shelf.state().history if version != running]
            before = [version for version in before if self.shelf.is_complete(version)]
            if not before:
                raise UpgradeRefused(f"there is no release to go back to from {running}")
            oldest = self.shelf.state().oldest
            if Version(before[-1]) < Version(oldest):
                raise UpgradeRefused(
                    f"the tables have changed since {before[-1]}: only {oldest} and newer may run on them"
                )
            self._switch(before[-1], running)
            self.shelf.condemn(running, "rolled back by hand", _now())
            self.shelf.prove(before[-1])
            log.info("release_rolled_back", version=running, to=before[-1])
            return f"went back from {running} to {before[-1]}"

    def _running(self) -> str:
        version = self.shelf.current
        if version is None:
            raise UpgradeRefused(f"{self.shelf.root} has no release: start Metrist once, from a virtual environment")
        return version

    def _offer(self) -> Offer:
        if not self.settings.release_source:
            raise UpgradeRefused("where are releases? Set METRIST_RELEASE_SOURCE to a folder or an address")
        return sift(source.read_index(self.settings.release_source), signing.trusted(self.settings.release_keys))

    def _take_back_unfinished(self) -> None:
        """An upgrade that was cut off: what it was to, has not proved itself."""
        proven, current = self.shelf.proven, self.shelf.current
        if proven and current and proven != current:
            log.warning("upgrade_was_cut_off", version=current, back_to=proven)
            self._switch(proven, current)

    def _upgrade_to(self, release: Release) -> str:
        """Whatever goes wrong, the old release runs afterwards."""
        before, version = self._running(), release.version
        if self.host is not None and not is_well(self.host):
            raise UpgradeRefused(f"{before} is not ready itself (see /readyz); {version} would be blamed for it")
        try:
            self._prepare(release)
            if self.shelf.begin_try(version) > TRIES:
                raise ReleaseBad(f"{TRIES} upgrades to it were cut off")
            token = self.settings.metrics_token.get_secret_value()
            served = served_by(self.host, token) if self.host is not None else Served()
            self._switch(version, before)
            if self.host is not None:
                watch(self.host, self.settings.release_watch_s, token, served)
        except ReleaseBad as error:
            self._take_back(before, version, error.detail)
        self.shelf.prove(version)
        gone = self.shelf.prune(is_used)
        log.info("release_proved_itself", version=version, before=before, removed=gone)
        return f"upgraded from {before} to {version}"

    def _prepare(self, release: Release) -> None:
        """Everything that can be done while the old release serves."""
        with tempfile.TemporaryDirectory(prefix="metrist-") as name:
            folder = Path(name)
            wheel = source.fetch(self.settings.release_source, release.wheel, folder)
            limits = release.constraints and source.fetch(self.settings.release_source, release.constraints, folder)
            log.info("release_verified", version=release.version, sha256=release.wheel.sha256)
            install(self.shelf, release, wheel, limits or None, self.settings.release_libraries)
        log.info("release_installed", version=release.version)
        python = self.shelf.python(release.version)
        if self.host is None:
            return
        self.shelf.migrate(release.version, release.oldest)
        migrate(python, self.env)
        rehearse.rehearse(python, self.env)
        log.info("release_rehearsed", version=release.version)

    def _switch(self, version: str, before: str) -> None:
        """Set the link, and wait until the processes have followed it. Raises ReleaseBad."""
        stores = facts.stores_that_differ(self.shelf.python(before), self.shelf.python(version))
        self.shelf.run(version)
        log.info("release_switched", version=version)
        if self.host is not None:
            self.host.switch(version, stores)

    def _take_back(self, before: str, version: str, reason: str) -> None:
        """Raises UpgradeRefused, always."""
        self.shelf.condemn(version, reason, _now())
        log.error("release_taken_back", version=version, back_to=before, reason=reason)
        if self.shelf.current != before:
            try:
                self._switch(before, version)
            except ReleaseBad as error:
                raise UpgradeRefused(
                    f"{version} is bad: {reason}; and {before} did not come back: {error.detail}"
                ) from None
        raise UpgradeRefused(f"{version} is bad and {before} runs: {reason}")


def migrate(python: Path, env: Mapping[str, str]) -> None:
    """Add to the tables what this release needs; the old one lives with that. Raises UpgradeRefused."""
    command = [str(python), "-P", "-m", "metrist", "migrate"]
    try:
        subprocess.run(  # noqa: S603
            command, env={**os.environ, **env}, capture_output=True, text=True, timeout=MIGRATED_WITHIN_S, check=True
        )
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip().splitlines() or [f"exit code {error.returncode}"]
        raise UpgradeRefused(f"its migrations failed: {words[-1].removeprefix('metrist: ')[:300]}") from None
    except subprocess.TimeoutExpired:
        raise UpgradeRefused(f"its migrations took longer than {MIGRATED_WITHIN_S} s") from None


def _now() -> datetime:
    return datetime.now(UTC)
