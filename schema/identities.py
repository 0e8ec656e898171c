"""Who somebody is to a provider, and which user that makes them here.

A user is found by the provider's id alone, never by an address or a login: docs/adr/0008-sign-in.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from domain.errors import Forbidden, IdentityTaken, NotFound, SignUpClosed
from domain.events import NewEvent
from domain.identities import Profile
from domain.ids import UserId
from schema import accounts, events, users
from schema.control.engine import reading
from schema.control.tables import identities
from schema.control.tables import users as users_table


@dataclass(frozen=True, slots=True)
class Identity:
    """One way to sign in, as its own person sees it."""

    provider: str
    subject_sha256: str
    user_id: UserId
    login: str
    linked_at: datetime
    version: int

    @property
    def stream(self) -> str:
        """Its history."""
        return f"identity/{self.provider}/{self.subject_sha256}"


def enter(engine: Engine, profile: Profile, now: datetime, *, may_register: bool) -> UserId:
    """Whom this profile signs in; the first time it makes them, with an account of their own, in one transaction.

    Raises SignUpClosed for somebody new who may not register.
    """
    return events.retrying(engine, lambda conn: _enter(conn, profile, now, may_register))


def link(engine: Engine, user_id: UserId, profile: Profile, now: datetime) -> None:
    """Let a user sign in this way, too; nothing happens when they can already.

    Raises IdentityTaken when it is somebody else's, or when they have another identity of this provider.
    """
    events.retrying(engine, lambda conn: _link(conn, user_id, profile, now))


def unlink(engine: Engine, user_id: UserId, provider: str, now: datetime) -> None:
    """Take a way to sign in away. Raises NotFound; Forbidden for the last one of who has no address for links."""
    events.retrying(engine, lambda conn: _unlink(conn, user_id, provider, now))


def list_for(engine: Engine, user_id: UserId) -> Sequence[Identity]:
    """A user's identities, longest known first."""
    with reading(engine) as conn:
        return _list(conn, user_id)


def _enter(conn: Connection, profile: Profile, now: datetime, may_register: bool) -> UserId:
    events.hold(conn)
    known = _find(conn, profile)
    if known is not None:
        _note_login(conn, known, profile, now)
        return known.user_id
    if not may_register:
        raise SignUpClosed(f"Nobody here has signed in as {profile.login} before.")
    return _register(conn, profile, now)


def _register(conn: Connection, profile: Profile, now: datetime) -> UserId:
    email = profile.email if profile.email and users.is_free(conn, profile.email) else None
    user = users.create(conn, email, profile.name, now)
    _append_link(conn, user.id, profile, now)
    accounts.create_in(conn, profile.called, user.id, now, actor=f"user/{user.id}")
    return user.id


def _link(conn: Connection, user_id: UserId, profile: Profile, now: datetime) -> None:
    events.hold(conn)
    known = _find(conn, profile)
    if known is None:
        _refuse_second(conn, user_id, profile)
        _append_link(conn, user_id, profile, now)
    elif known.user_id == user_id:
        _note_login(conn, known, profile, now)
    else:
        raise IdentityTaken(
            f"{profile.login} signs somebody else in here. Sign in as them and disconnect it there first."
        )


def _refuse_second(conn: Connection, user_id: UserId, profile: Profile) -> None:
    for identity in _list(conn, user_id):
        if identity.provider == profile.provider:
            raise IdentityTaken(f"You are connected as {identity.login} already; disconnect that first.")


def _append_link(conn: Connection, user_id: UserId, profile: Profile, now: datetime) -> None:
    linked = NewEvent("identity_linked", {"user_id": str(user_id), "login": profile.login}, f"user/{user_id}")
    events.append(conn, profile.stream, events.version_of(conn, profile.stream), [linked], now)


def _note_login(conn: Connection, known: Identity, profile: Profile, now: datetime) -> None:
    if known.login != profile.login:
        renamed = NewEvent("identity_renamed", {"login": profile.login}, f"user/{known.user_id}")
        events.append(conn, known.stream, known.version, [renamed], now)


def _unlink(conn: Connection, user_id: UserId, provider: str, now: datetime) -> None:
    events.hold(conn)
    theirs = _list(conn, user_id)
    identity = next((each for each in theirs if each.provider == provider), None)
    if identity is None:
        raise NotFound("That way to sign in is not connected")
    email = conn.scalar(select(users_table.c.email).where(users_table.c.id == user_id))
    if len(theirs) == 1 and email is None:
        raise Forbidden("This is your only way to sign in; connect another one first")
    unlinked = NewEvent("identity_unlinked", {"login": identity.login}, f"user/{user_id}")
    events.append(conn, identity.stream, identity.version, [unlinked], now)


def _find(conn: Connection, profile: Profile) -> Identity | None:
    _, provider, subject_sha256 = profile.stream.split("/")
    columns = identities.c
    query = select(identities).where(columns.provider == provider, columns.subject_sha256 == subject_sha256)
    found = conn.execute(query).mappings().one_or_none()
    return Identity(**found) if found else None


def _list(conn: Connection, user_id: UserId) -> Sequence[Identity]:
    theirs = select(identities).where(identities.c.user_id == user_id)
    found = conn.execute(theirs.order_by(identities.c.linked_at, identities.c.provider)).mappings()
    return [Identity(**identity) for identity in found]
