"""`metrist account create`: an account and its first key."""

import argparse

from metrist import control
from schema import accounts, api_keys


def run(options: argparse.Namespace) -> None:
    """Print the account's id and its key."""
    with control.opened(control.settings_for(options.data)) as opened:
        account = accounts.create(opened.engine, options.name, options.owner, control.now())
        key = api_keys.create(opened.engine, account.id, "first key", ("ingest", "read"), control.now())
    print(f"Account  {account.name}  {account.id}")
    print(f"API key  {key.secret}  (shown only now)")
