"""`metrist user sign-in`: let somebody in."""

import argparse

from domain.errors import NotFound
from metrist import control
from schema import sessions, users


def run(options: argparse.Namespace) -> None:
    """Print a one-time link."""
    with control.opened(control.settings_for(options.data)) as opened:
        user = users.find_by_email(opened.engine, options.email)
        if user is None:
            raise NotFound(f"nobody has the address {options.email}; see `metrist account create --owner`")
        minutes = opened.settings.sign_in_link_minutes
        token = sessions.create_link(opened.engine, user.id, control.now(), minutes)
    print(f"{opened.settings.base_url}/sign-in?token={token}")
