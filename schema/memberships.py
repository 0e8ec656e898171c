"""Who belongs to which account, as what."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from domain.accounts import Role
from domain.errors import Forbidden, NotFound
from domain.events import NewEvent
from domain.ids import AccountId, UserId
from schema import events
from schema.control.engine import reading
from schema.control.tables import memberships, users


@dataclass(frozen=True, slots=True)
class Member:
    """A user as an account sees them."""

    user_id: UserId
    email: str | None
    role: Role
    granted_at: datetime


def list_for(engine: Engine, account_id: AccountId) -> Sequence[Member]:
    """Who belongs to an account, longest first."""
    member = select(memberships.c.user_id, users.c.email, memberships.c.role, memberships.c.granted_at).join(users)
    theirs = member.where(memberships.c.account_id == account_id)
    with reading(engine) as conn:
        found = conn.execute(theirs.order_by(memberships.c.granted_at, memberships.c.user_id))
        return [Member(user_id, email, Role(role), granted_at) for user_id, email, role, granted_at in found]


def grant(engine: Engine, account_id: AccountId, user_id: UserId, role: Role, now: datetime, *, actor: str) -> None:
    """Let a user in, or change their role; nothing happens when they have it already.

    Raises Forbidden when it would leave the account without an owner.
    """
    events.retrying(engine, lambda conn: grant_in(conn, account_id, user_id, role, now, actor=actor))


def grant_in(
    conn: Connection, account_id: AccountId, user_id: UserId, role: Role, now: datetime, *, actor: str
) -> None:
    """As `grant`, within the caller's transaction."""
    events.hold(conn)
    known = _role(conn, account_id, user_id)
    if known != role:
        _keep_an_owner(conn, account_id, known)
        _append(conn, account_id, user_id, NewEvent("membership_granted", {"role": role.value}, actor), now)


def revoke(engine: Engine, account_id: AccountId, user_id: UserId, now: datetime, *, actor: str) -> None:
    """Take a user out of an account. Raises NotFound; Forbidden for the last owner."""
    events.retrying(engine, lambda conn: _revoke(conn, account_id, user_id, now, actor))


def _revoke(conn: Connection, account_id: AccountId, user_id: UserId, now: datetime, actor: str) -> None:
    events.hold(conn)
    known = _role(conn, account_id, user_id)
    if known is None:
        raise NotFound("That person does not belong to this account")
    _keep_an_owner(conn, account_id, known)
    _append(conn, account_id, user_id, NewEvent("membership_revoked", {"role": known.value}, actor), now)


def _append(conn: Connection, account_id: AccountId, user_id: UserId, event: NewEvent, now: datetime) -> None:
    stream = f"membership/{account_id}/{user_id}"
    events.append(conn, stream, events.version_of(conn, stream), [event], now)


def _role(conn: Connection, account_id: AccountId, user_id: UserId) -> Role | None:
    query = select(memberships.c.role).where(memberships.c.account_id == account_id, memberships.c.user_id == user_id)
    found = conn.scalar(query)
    return Role(found) if found else None


def _keep_an_owner(conn: Connection, account_id: AccountId, leaving: Role | None) -> None:
    """Refuse to let the last owner go; whoever asks holds the log, so two owners cannot remove each other at once."""
    owners = (memberships.c.account_id == account_id) & (memberships.c.role == Role.OWNER.value)
    count = select(func.count()).select_from(memberships).where(owners)
    if leaving == Role.OWNER and conn.scalar(count) == 1:
        raise Forbidden("An account keeps at least one owner; make someone else an owner first")
