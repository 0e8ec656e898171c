"""`metrist up`: the whole platform on this machine."""

import argparse

from metrist.up import up


def run(options: argparse.Namespace) -> None:
    """Run until asked to stop."""
    up(options.data, options.host, options.port, has_agent=options.agent)
