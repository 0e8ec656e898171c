"""Where a start begins: with the release that is proven, wherever the command was called from."""

import os
import sys
from importlib.metadata import version
from pathlib import Path

import structlog
from packaging.version import Version

from metrist.releases.errors import UpgradeRefused
from metrist.releases.first import put_ourselves
from metrist.releases.shelf import Shelf

log = structlog.get_logger()


def begin(shelf: Shelf) -> None:
    """Become the release that shall run here, or put the one that runs this on the shelf as that.

    An upgrade that was cut off is taken back. Outside of a virtual environment there is nothing to go back to, and
    nothing is done.
    """
    if sys.prefix == sys.base_prefix:
        return
    own, prefix = version("metrist"), Path(sys.prefix)
    try:
        with shelf.lock():
            _take_back(shelf)
            if not _is_another(shelf, own, prefix):
                put_ourselves(shelf)
                return
    except UpgradeRefused:  # who upgrades just now minds the links, and we follow them once we run
        if not _is_another(shelf, own, prefix):
            return
    python = str(shelf.python(str(shelf.proven)))
    os.execv(python, [python, "-P", "-m", "metrist", *sys.argv[1:]])  # noqa: S606


def _take_back(shelf: Shelf) -> None:
    if shelf.proven and shelf.current != shelf.proven:
        log.warning("upgrade_was_cut_off", version=shelf.current, back_to=shelf.proven)
        shelf.run(shelf.proven)


def _is_another(shelf: Shelf, own: str, prefix: Path) -> bool:
    """Whether the shelf names a release that is rather to run than we: an installed one that is not older, or any
    that is there, when we were found to be bad."""
    proven = shelf.proven
    if proven is None or not shelf.is_complete(proven) or shelf.path(proven).resolve() == prefix.resolve():
        return False
    if own in shelf.state().bad:
        return True
    return not shelf.path(proven).is_symlink() and Version(proven) >= Version(own)
