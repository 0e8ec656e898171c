"""Who belongs to which account, as what.

What one person does to another (`by`) is judged by the role that they have at that moment, within the transaction:
who was demoted a moment ago changes nothing any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from domain.accounts import Role, called
from domain.errors import Forbidden, NotFound
from domain.events import NewEvent
from domain.ids import AccountId, UserId
from domain.permissions import Permission, may, require, to_grant
from schema import events
from schema.control.engine import reading
from schema.control.tables import accounts, invitations, memberships, users


@dataclass(frozen=True, slots=True)
class Member:
    """A user as an account sees them."""

    user_id: UserId
    email: str | None
    name: str | None
    role: Role
    granted_at: datetime

    @property
    def called(self) -> str:
        """What to call them on a page."""
        return called(self.name, self.email)


@dataclass(frozen=True, slots=True)
class Belonging:
    """An account as one of its people sees it."""

    account_id: AccountId
    name: str
    role: Role

    def place(self) -> tuple[str, str]:
        """Where it stands in a list of accounts."""
        return self.name.casefold(), str(self.account_id)


def list_for(engine: Engine, account_id: AccountId) -> Sequence[Member]:
    """Who belongs to an account, longest first."""
    columns = (memberships.c.user_id, users.c.email, users.c.name, memberships.c.role, memberships.c.granted_at)
    theirs = select(*columns).join(users).where(memberships.c.account_id == account_id)
    with reading(engine) as conn:
        found = conn.execute(theirs.order_by(memberships.c.granted_at, memberships.c.user_id))
        return [Member(user_id, email, name, Role(role), at) for user_id, email, name, role, at in found]


def grant(engine: Engine, account_id: AccountId, user_id: UserId, role: Role, now: datetime, *, actor: str) -> None:
    """Let a user in, or change their role; nothing happens when they have it already.

    Raises NotFound for the account; Forbidden when it would be left without an owner.
    """
    events.retrying(engine, lambda conn: grant_in(conn, account_id, user_id, role, now, actor=actor))


def grant_in(
    conn: Connection, account_id: AccountId, user_id: UserId, role: Role, now: datetime, *, actor: str
) -> None:
    """As `grant`, within the caller's transaction."""
    events.hold(conn)
    if conn.scalar(select(accounts.c.id).where(accounts.c.id == account_id)) is None:
        raise NotFound("There is no such account")
    known = role_of(conn, account_id, user_id)
    if known != role:
        _keep_an_owner(conn, account_id, known)
        granted = {"role": role.value} | ({"before": known.value} if known else {})
        _append(conn, account_id, user_id, NewEvent("membership_granted", granted, actor), now)
        _withdraw(conn, account_id, user_id, role, now, actor)


def revoke(engine: Engine, account_id: AccountId, user_id: UserId, now: datetime, *, actor: str) -> None:
    """Take a user out of an account. Raises NotFound; Forbidden for the last owner."""
    events.retrying(engine, lambda conn: revoke_in(conn, account_id, user_id, now, actor=actor))


def change(engine: Engine, account_id: AccountId, user_id: UserId, role: Role, now: datetime, *, by: UserId) -> None:
    """Give a member another role. Raises NotFound, Forbidden."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        known = _member(conn, account_id, user_id)
        require_in(conn, account_id, by, to_grant(known, role))
        grant_in(conn, account_id, user_id, role, now, actor=f"user/{by}")

    events.retrying(engine, work)


def remove(engine: Engine, account_id: AccountId, user_id: UserId, now: datetime, *, by: UserId) -> None:
    """Take a member out; leaving oneself takes no permission. Raises NotFound, Forbidden."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        known = _member(conn, account_id, user_id)
        if user_id != by:
            require_in(conn, account_id, by, to_grant(known, None))
        revoke_in(conn, account_id, user_id, now, actor=f"user/{by}")

    events.retrying(engine, work)


def transfer(engine: Engine, account_id: AccountId, to: UserId, now: datetime, *, by: UserId) -> None:
    """Make another member an owner and oneself an admin, in one step. Raises NotFound, Forbidden."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        _member(conn, account_id, to)
        require_in(conn, account_id, by, Permission.MANAGE_OWNERS)
        if to == by:
            raise Forbidden("You are an owner already; choose whom to hand the account to")
        grant_in(conn, account_id, to, Role.OWNER, now, actor=f"user/{by}")
        grant_in(conn, account_id, by, Role.ADMIN, now, actor=f"user/{by}")

    events.retrying(engine, work)


def role_of(conn: Connection, account_id: AccountId, user_id: UserId) -> Role | None:
    """What a user is to an account; None for a stranger."""
    query = select(memberships.c.role).where(memberships.c.account_id == account_id, memberships.c.user_id == user_id)
    found = conn.scalar(query)
    return Role(found) if found else None


def require_in(conn: Connection, account_id: AccountId, user_id: UserId, permission: Permission) -> None:
    """Raises Forbidden unless the user has the permission now."""
    role = role_of(conn, account_id, user_id)
    if role is None:
        raise Forbidden("You do not belong to this account any more")
    require(role, permission)


def revoke_in(conn: Connection, account_id: AccountId, user_id: UserId, now: datetime, *, actor: str) -> None:
    """As `revoke`, within the caller's transaction."""
    events.hold(conn)
    known = _member(conn, account_id, user_id)
    _keep_an_owner(conn, account_id, known)
    _append(conn, account_id, user_id, NewEvent("membership_revoked", {"role": known.value}, actor), now)
    _withdraw(conn, account_id, user_id, None, now, actor)


def _append(conn: Connection, account_id: AccountId, user_id: UserId, event: NewEvent, now: datetime) -> None:
    stream = f"membership/{account_id}/{user_id}"
    events.append(conn, stream, events.version_of(conn, stream), [event], now)


def _member(conn: Connection, account_id: AccountId, user_id: UserId) -> Role:
    found = role_of(conn, account_id, user_id)
    if found is None:
        raise NotFound("That person does not belong to this account")
    return found


def _withdraw(
    conn: Connection, account_id: AccountId, user_id: UserId, role: Role | None, now: datetime, actor: str
) -> None:
    """End the open invitations that a person could no longer make: nobody comes in on the word of who has left."""
    theirs = (invitations.c.account_id == account_id) & (invitations.c.invited_by == user_id)
    for found in conn.execute(select(invitations.c.id, invitations.c.role, invitations.c.version).where(theirs)).all():
        if role is None or not may(role, to_grant(None, Role(found.role))):
            revoked = NewEvent("invitation_revoked", {"cause": "its sender may no longer invite"}, actor)
            events.append(conn, f"invitation/{found.id}", found.version, [revoked], now)


def _keep_an_owner(conn: Connection, account_id: AccountId, leaving: Role | None) -> None:
    """Refuse to let the last owner go; whoever asks holds the log, so two owners cannot remove each other at once."""
    owners = (memberships.c.account_id == account_id) & (memberships.c.role == Role.OWNER.value)
    count = select(func.count()).select_from(memberships).where(owners)
    if leaving == Role.OWNER and conn.scalar(count) == 1:
        raise Forbidden("An account keeps at least one owner; make someone else an owner first")
