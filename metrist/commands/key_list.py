"""`metrist key list`: the API keys of an account."""

import argparse

from metrist import control
from schema import api_keys
from schema.api_keys import ListedKey


def run(options: argparse.Namespace) -> None:
    """Print one line a key, oldest first."""
    with control.opened(control.settings_for(options.data)) as opened:
        account = control.find_account(opened.engine, options.account)
        for key in api_keys.list_for(opened.engine, account.id):
            print(describe(key))


def describe(key: ListedKey) -> str:
    """A key on one line, as operators see it."""
    state = "revoked" if key.revoked_at else f"used {key.last_used_at:%Y-%m-%d}" if key.last_used_at else "never used"
    return f"key {key.id}  {key.name}  {'+'.join(sorted(key.scopes))}  {state}"
