"""`metrist user list`: who can come in."""

import argparse

from metrist import control
from schema import accounts, identities, users


def run(options: argparse.Namespace) -> None:
    """Print one line a person, and one for each way they sign in and each account they belong to."""
    with control.opened(control.settings_for(options.data)) as opened:
        for user in users.list_all(opened.engine):
            who = "  ".join(part for part in (user.email or "no address", user.name) if part)
            print(f"{who}  {user.id}  since {user.created_at:%Y-%m-%d}")
            for identity in identities.list_for(opened.engine, user.id):
                print(f"  signs in by {identity.provider} as {identity.login}")
            for account in accounts.list_of(opened.engine, user.id):
                print(f"  belongs to {account.name}")
