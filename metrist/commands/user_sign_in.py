"""`metrist user sign-in`: let somebody in."""

import argparse

from domain.errors import NotFound
from metrist import control
from metrist.environment import read_settings
from schema import sessions, users


def run(options: argparse.Namespace) -> None:
    """Print a one-time link."""
    settings = read_settings()
    with control.opened(settings) as engine:
        user = users.find_by_email(engine, options.email)
        if user is None:
            raise NotFound(f"nobody has the address {options.email}; see `metrist account create --owner`")
        token = sessions.create_link(engine, user.id, control.now(), settings.sign_in_link_minutes)
    print(f"{settings.base_url}/sign-in?token={token}")
