"""`metrist user sign-in`: let somebody in."""

import argparse
from uuid import UUID

from sqlalchemy import Engine

from domain.errors import NotFound
from domain.ids import UserId
from metrist import control
from schema import sessions, users
from schema.users import UserRow


def run(options: argparse.Namespace) -> None:
    """Print a one-time link."""
    with control.opened(control.settings_for(options.data)) as opened:
        user = _find(opened.engine, options.email)
        if user is None:
            raise NotFound(f"nobody here is {options.email}; see `metrist user list`, `metrist account create --owner`")
        minutes = opened.settings.sign_in_link_minutes
        token = sessions.create_link(opened.engine, user.id, control.now(), minutes)
    print(f"{opened.settings.base_url}/sign-in?token={token}")


def _find(engine: Engine, email_or_id: str) -> UserRow | None:
    try:
        return users.find(engine, UserId(UUID(email_or_id)))
    except ValueError:
        return users.find_by_email(engine, email_or_id)
