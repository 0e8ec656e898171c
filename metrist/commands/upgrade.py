"""`metrist upgrade`: look for a new release, bring it, or go back."""

import argparse
import os
import sys
import time
from pathlib import Path

from metrist import logs
from metrist.datadir import DataDir
from metrist.environment import read_settings
from metrist.releases import hosts
from metrist.releases.errors import UpgradeRefused
from metrist.releases.first import put_ourselves
from metrist.releases.shelf import Shelf
from metrist.releases.upgrade import Upgrade

LOOK_EVERY_S = 60.0


def run(options: argparse.Namespace) -> None:
    """Do one of --check, --apply, --rollback and print what came of it; with --watch, --apply again and again."""
    while options.watch:
        try:
            print(open_upgrade(options.data).apply(), flush=True)
        except UpgradeRefused as error:
            print(f"metrist: {error.detail}", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY_S)
    upgrade = open_upgrade(options.data)
    if options.rollback:
        print(upgrade.rollback())
    elif options.apply:
        print(upgrade.apply(options.release))
    else:
        print(_found(upgrade, options.release))


def open_upgrade(directory: Path | None) -> Upgrade:
    """The platform that is meant: the one in a data directory (./data, if it is there), or the units of systemd."""
    data = _data(directory)
    if data is not None and hosts.is_up(data):
        platform = hosts.environment(data)
        os.environ.update({**platform.settings, **_asked_here()})
        os.chdir(platform.folder)
    settings = read_settings()
    logs.configure(settings)
    shelf = Shelf(data.releases if data is not None else settings.releases_dir)
    if shelf.current is None and sys.prefix != sys.base_prefix:
        put_ourselves(shelf)  # the first time, what there is to go back to is what runs this
    return Upgrade(shelf, settings, hosts.find(data, settings), _own_settings())


def _data(directory: Path | None) -> DataDir | None:
    found = DataDir((directory or Path("data")).resolve())
    if found.root.is_dir():
        return found
    if directory is not None:
        raise UpgradeRefused(f"{directory} is no data directory of a `metrist up`")
    return None


def _asked_here() -> dict[str, str]:
    """What the operator says about releases now counts more than what the platform was started with."""
    return {name: value for name, value in os.environ.items() if name.startswith("METRIST_RELEASE_")}


def _own_settings() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("METRIST_")}


def _found(upgrade: Upgrade, wanted: str | None) -> str:
    """What --check says, with what was bad before."""
    release = upgrade.check(wanted)
    if release is None:
        lines = [f"{upgrade.shelf.current} is the newest there is"]
    else:
        lines = [f"{release.version} is there, {upgrade.shelf.current} runs", *release.notes.splitlines()]
    for number, why in upgrade.shelf.state().bad.items():
        lines.append(f"{number} is not taken: {why['reason']} ({why['at']})")
    return "\n".join(lines)
