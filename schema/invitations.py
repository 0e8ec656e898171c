"""Invitations into an account by a link; the link's secret is kept nowhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, Engine, Row, Select, func, select

from domain import invitations as rules
from domain.accounts import Role, called
from domain.errors import LimitReached, NotFound
from domain.events import NewEvent
from domain.ids import AccountId, InvitationId, UserId
from domain.permissions import Permission, to_grant
from schema import events, memberships
from schema.control.engine import reading
from schema.control.tables import accounts, invitations, users

GONE = "This invitation does not exist, has been used or was revoked; ask for a new one"


@dataclass(frozen=True, slots=True)
class NewInvitation:
    """An invitation just made; `token` is what its link ends in, shown once and not to be had again."""

    id: InvitationId
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Invitation:
    """An open invitation, as the account's people see it, and whoever holds its link."""

    id: InvitationId
    account_id: AccountId
    account_name: str
    role: Role
    note: str
    inviter: str
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Accepted:
    """What came of accepting: into which account, and whether one belonged to it already."""

    account_id: AccountId
    was_member: bool


def create(engine: Engine, account_id: AccountId, role: Role, note: str, now: datetime, *, by: UserId) -> NewInvitation:
    """A link that lets one person in. Raises Forbidden, InvalidBody, LimitReached."""
    cleaned = rules.clean_note(note)
    return events.retrying(engine, lambda conn: _create(conn, account_id, role, cleaned, now, by))


def list_open(engine: Engine, account_id: AccountId, now: datetime) -> Sequence[Invitation]:
    """What waits to be accepted, the newest first."""
    theirs = _joined().where(invitations.c.account_id == account_id, invitations.c.expires_at > now)
    with reading(engine) as conn:
        found = conn.execute(theirs.order_by(invitations.c.created_at.desc(), invitations.c.id))
        return [_to_invitation(row) for row in found]


def find(engine: Engine, token: str, now: datetime) -> Invitation:
    """What a link leads to. Raises NotFound, in one wording for whatever does not work."""
    with reading(engine) as conn:
        return _to_invitation(_find(conn, token, now))


def revoke(engine: Engine, account_id: AccountId, invitation_id: str, now: datetime, *, by: UserId) -> None:
    """End an open invitation. Raises NotFound, Forbidden."""
    events.retrying(engine, lambda conn: _revoke(conn, account_id, invitation_id, now, by))


def accept(engine: Engine, token: str, user_id: UserId, now: datetime) -> Accepted:
    """Let this person in, and use the link up; one who belongs already changes nothing. Raises NotFound.

    Of several people who come with one link at once, one gets in.
    """
    return events.retrying(engine, lambda conn: _accept(conn, token, user_id, now))


def _create(conn: Connection, account_id: AccountId, role: Role, note: str, now: datetime, by: UserId) -> NewInvitation:
    events.hold(conn)
    memberships.require_in(conn, account_id, by, to_grant(None, role))
    _end_old(conn, account_id, now)
    _keep_few(conn, account_id)
    invitation_id, token = rules.make()
    payload = {
        "account_id": str(account_id),
        "role": role.value,
        "note": note,
        "secret_sha256": rules.digest(token).hex(),
        "invited_by": str(by),
        "expires_at": (now + rules.LASTS).isoformat(),
    }
    events.append(conn, f"invitation/{invitation_id}", 0, [NewEvent("invitation_created", payload, f"user/{by}")], now)
    return NewInvitation(invitation_id, token)


def _end_old(conn: Connection, account_id: AccountId, now: datetime) -> None:
    """End those whose time is over, so that they do not pile up."""
    too_old = (invitations.c.account_id == account_id) & (invitations.c.expires_at <= now)
    for invitation_id, version in conn.execute(select(invitations.c.id, invitations.c.version).where(too_old)).all():
        _end(conn, invitation_id, version, NewEvent("invitation_revoked", {"cause": "too old"}), now)


def _keep_few(conn: Connection, account_id: AccountId) -> None:
    theirs = select(func.count()).select_from(invitations).where(invitations.c.account_id == account_id)
    if (conn.scalar(theirs) or 0) >= rules.OPEN_MAX:
        raise LimitReached(f"{rules.OPEN_MAX} invitations wait to be accepted; revoke those no longer needed")


def _revoke(conn: Connection, account_id: AccountId, invitation_id: str, now: datetime, by: UserId) -> None:
    events.hold(conn)
    memberships.require_in(conn, account_id, by, Permission.INVITE)
    theirs = (invitations.c.id == invitation_id) & (invitations.c.account_id == account_id)
    found = conn.execute(select(invitations.c.role, invitations.c.version).where(theirs)).one_or_none()
    if found is None:
        raise NotFound("That invitation is gone: it was accepted, or revoked before")
    memberships.require_in(conn, account_id, by, to_grant(None, Role(found.role)))
    _end(conn, invitation_id, found.version, NewEvent("invitation_revoked", {}, f"user/{by}"), now)


def _accept(conn: Connection, token: str, user_id: UserId, now: datetime) -> Accepted:
    events.hold(conn)
    found = _find(conn, token, now)
    invitation = _to_invitation(found)
    if memberships.role_of(conn, invitation.account_id, user_id) is not None:
        return Accepted(invitation.account_id, was_member=True)
    actor = f"user/{user_id}"
    used = NewEvent("invitation_accepted", {"user_id": str(user_id)}, actor)
    _end(conn, invitation.id, found.version, used, now)
    memberships.grant_in(conn, invitation.account_id, user_id, invitation.role, now, actor=actor)
    return Accepted(invitation.account_id, was_member=False)


def _end(conn: Connection, invitation_id: str, version: int, event: NewEvent, now: datetime) -> None:
    events.append(conn, f"invitation/{invitation_id}", version, [event], now)


def _find(conn: Connection, token: str, now: datetime) -> Row[tuple[object, ...]]:
    invitation_id = rules.public_id(token)
    found = conn.execute(_joined().where(invitations.c.id == invitation_id)).one_or_none() if invitation_id else None
    if found is None or not rules.matches(token, found.secret_hash):
        raise NotFound(GONE)
    if found.expires_at <= now:
        raise NotFound("This invitation is too old; ask for a new one")
    return found


def _joined() -> Select[tuple[object, ...]]:
    """Invitations with the names that people know; whoever invited is a user for good."""
    names = (accounts.c.name.label("account_name"), users.c.name.label("by_name"), users.c.email.label("by_email"))
    joined = invitations.join(accounts, accounts.c.id == invitations.c.account_id)
    return select(invitations, *names).select_from(joined.outerjoin(users, users.c.id == invitations.c.invited_by))


def _to_invitation(row: Row[tuple[object, ...]]) -> Invitation:
    found = row._mapping
    return Invitation(
        id=found["id"],
        account_id=found["account_id"],
        account_name=found["account_name"],
        role=Role(found["role"]),
        note=found["note"],
        inviter=called(found["by_name"], found["by_email"]),
        created_at=found["created_at"],
        expires_at=found["expires_at"],
    )
