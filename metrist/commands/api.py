"""`metrist api`: the API and the pages."""

import argparse

from metrist import logs
from metrist.environment import read_settings
from metrist.server import serve


def run(options: argparse.Namespace) -> None:
    """Serve until asked to stop."""
    settings = read_settings()
    logs.configure(settings)
    serve(settings)
