"""People who can sign in."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine, select

from domain.accounts import clean_email
from domain.events import SYSTEM, NewEvent
from domain.ids import UserId
from schema import events
from schema.control.engine import reading
from schema.control.tables import users


@dataclass(frozen=True, slots=True)
class UserRow:
    """One person; email is None where the provider of the sign-in tells none, name where nobody told one."""

    id: UserId
    email: str | None
    created_at: datetime
    version: int
    name: str | None = None


def find_by_email(engine: Engine, email: str) -> UserRow | None:
    """The user with this address, in any spelling of case."""
    with reading(engine) as conn:
        return _by_email(conn, clean_email(email))


def find_or_create(conn: Connection, email: str, now: datetime, *, actor: str = SYSTEM) -> UserRow:
    """The user with this address, made when there is none; within the caller's transaction."""
    address = clean_email(email)
    events.hold(conn)
    return _by_email(conn, address) or create(conn, address, None, now, actor=actor)


def create(
    conn: Connection, email: str | None, name: str | None, now: datetime, *, actor: str | None = None
) -> UserRow:
    """A new person, who may have neither address nor name; within the caller's transaction.

    actor  empty: they themselves, by signing in
    Raises Conflict when somebody has the address.
    """
    user_id = UserId(uuid4())
    created = NewEvent("user_created", {"email": email, "name": name}, actor or f"user/{user_id}")
    version = events.append(conn, f"user/{user_id}", 0, [created], now)
    return UserRow(user_id, email, now, version, name)


def is_free(conn: Connection, email: str) -> bool:
    """Whether nobody has this address; within the caller's transaction."""
    return _by_email(conn, clean_email(email)) is None


def _by_email(conn: Connection, email: str) -> UserRow | None:
    found = conn.execute(select(users).where(users.c.email == email)).one_or_none()
    return UserRow(**found._mapping) if found else None
