"""`metrist release-key`: a key to sign releases with."""

import argparse

from metrist.releases.signing import make_key


def run(options: argparse.Namespace) -> None:
    """Print the public key alone on its line, so that a script can take it."""
    print(make_key(options.file))
