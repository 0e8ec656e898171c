"""`metrist monitors plan`: what `apply` would do."""

import argparse
import os
from contextlib import AbstractContextManager

from metrist import monitor_files
from metrist.monitor_files import Change, CommandFailed, Server


def run(options: argparse.Namespace) -> None:
    """Print a line for each monitor that would change; changes nothing."""
    with server(options) as opened:
        changes = plan(options, opened)
    for change in changes:
        print(change)
    print(f"{len(changes)} to change" if changes else "nothing to change")


def plan(options: argparse.Namespace, opened: Server) -> list[Change]:
    """What is to be done."""
    written = monitor_files.read(options.dir)
    return list(monitor_files.compare(written, opened.list_all(), prune=options.prune))


def server(options: argparse.Namespace) -> AbstractContextManager[Server]:
    """The server that is meant; raises CommandFailed when nobody said which, or with which key."""
    address, key = options.server or os.environ.get("METRIST_SERVER"), os.environ.get("METRIST_KEY")
    if not address:
        raise CommandFailed("which server? Give --server URL or set METRIST_SERVER")
    if not key:
        raise CommandFailed("set METRIST_KEY to a key of scope manage")
    return Server(address, key)
