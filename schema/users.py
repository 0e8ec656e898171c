"""People who can sign in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine, select

from domain.accounts import clean_email, clean_name
from domain.errors import NotFound
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


def find(engine: Engine, user_id: UserId) -> UserRow | None:
    """The user with this id."""
    with reading(engine) as conn:
        found = conn.execute(select(users).where(users.c.id == user_id)).one_or_none()
        return UserRow(**found._mapping) if found else None


def list_all(engine: Engine) -> Sequence[UserRow]:
    """Everybody, longest known first."""
    with reading(engine) as conn:
        found = conn.execute(select(users).order_by(users.c.created_at, users.c.id))
        return [UserRow(**user._mapping) for user in found]


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


def rename(engine: Engine, user_id: UserId, name: str, now: datetime) -> None:
    """Have a person called otherwise, at their own word; an empty name is none. Raises InvalidBody, NotFound."""
    cleaned = clean_name(name) if name.strip() else None
    events.retrying(engine, lambda conn: _rename(conn, user_id, cleaned, now))


def is_free(conn: Connection, email: str) -> bool:
    """Whether nobody has this address; within the caller's transaction."""
    return _by_email(conn, clean_email(email)) is None


def _rename(conn: Connection, user_id: UserId, name: str | None, now: datetime) -> None:
    events.hold(conn)
    found = conn.execute(select(users).where(users.c.id == user_id)).one_or_none()
    if found is None:
        raise NotFound("There is no such person")
    if found.name != name:
        changed = NewEvent("user_changed", {"email": found.email, "name": name}, f"user/{user_id}")
        events.append(conn, f"user/{user_id}", found.version, [changed], now)


def _by_email(conn: Connection, email: str) -> UserRow | None:
    found = conn.execute(select(users).where(users.c.email == email)).one_or_none()
    return UserRow(**found._mapping) if found else None
