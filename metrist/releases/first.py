"""The release that runs this becomes what shall run: `python -P -m metrist.releases.first FOLDER`, for installers."""

import sys
from importlib.metadata import version
from pathlib import Path

from metrist.releases.shelf import Shelf


def put_ourselves(shelf: Shelf) -> None:
    """Set both links to the environment that runs this, wherever it lies."""
    own, prefix = version("metrist"), Path(sys.prefix)
    if prefix.resolve() != shelf.path(own).resolve() or shelf.path(own).is_symlink():
        shelf.adopt(prefix, own)
    else:
        shelf.complete(own)
    shelf.run(own)
    shelf.prove(own)


if __name__ == "__main__":
    folder = Shelf(Path(sys.argv[1]))
    with folder.lock():
        put_ourselves(folder)
