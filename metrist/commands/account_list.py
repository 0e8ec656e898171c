"""`metrist account list`: accounts and their keys."""

import argparse

from metrist import control
from metrist.commands.key_list import describe
from schema import accounts, api_keys


def run(options: argparse.Namespace) -> None:
    """Print one line an account, and one an API key."""
    with control.opened(control.settings_for(options.data)) as opened:
        for account in accounts.list_all(opened.engine):
            print(f"{account.name}  {account.id}  since {account.created_at:%Y-%m-%d}")
            for key in api_keys.list_for(opened.engine, account.id):
                print(f"  {describe(key)}")
