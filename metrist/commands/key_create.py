"""`metrist key create`: one more API key."""

import argparse

from metrist import control
from schema import api_keys


def run(options: argparse.Namespace) -> None:
    """Print the key alone on its line, so that a script can take it."""
    with control.opened(control.settings_for(options.data)) as opened:
        account = control.find_account(opened.engine, options.account)
        scopes = options.scope or ("ingest", "read")
        print(api_keys.create(opened.engine, account.id, options.name, scopes, control.now()).secret)
