"""`metrist account list`: accounts and their keys."""

import argparse

from metrist import control
from schema import accounts, api_keys
from schema.api_keys import ListedKey


def run(options: argparse.Namespace) -> None:
    """Print one line an account, and one an API key."""
    with control.opened(control.settings_for(options.data)) as opened:
        for account in accounts.list_all(opened.engine):
            print(f"{account.name}  {account.id}  since {account.created_at:%Y-%m-%d}")
            for key in api_keys.list_for(opened.engine, account.id):
                print(f"  {_describe(key)}")


def _describe(key: ListedKey) -> str:
    state = "revoked" if key.revoked_at else f"used {key.last_used_at:%Y-%m-%d}" if key.last_used_at else "never used"
    return f"key {key.id}  {key.name}  {'+'.join(sorted(key.scopes))}  {state}"
