"""`metrist monitors apply`: make the server's monitors those of a folder."""

import argparse

from metrist.commands.monitors_plan import plan, server


def run(options: argparse.Namespace) -> None:
    """Write what differs and push it, one line each; ends at the first that is refused. Safe to run again."""
    with server(options) as opened:
        changes = plan(options, opened)
        for change in changes:
            if change.written is None:
                opened.remove(change.name)
                print(change)
            else:
                told = opened.write(change.written, options.note, push=not options.no_push)
                print(f"{change}, now version {told['version']}")
    print(f"{len(changes)} changed" if changes else "nothing to change")
