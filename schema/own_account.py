"""The platform's own account: made once there is somebody to own it, owned by who operates the platform."""

from datetime import datetime

from sqlalchemy import Connection, Engine, select

from domain import dashboards as rules
from domain import own_dashboard
from domain.accounts import Role
from domain.dashboards import Document
from domain.events import SYSTEM, NewEvent
from domain.ids import UserId
from domain.own_account import ACCOUNT, DASHBOARD, NAME, operators_of
from schema import events, memberships
from schema.control.engine import reading
from schema.control.tables import accounts, dashboards, users
from schema.control.tables import memberships as members


def ensure(engine: Engine, operators: str, now: datetime) -> bool:
    """Have the account, its dashboard as this release has it, and its owners; False while there is nobody to own it.

    operators  as METRIST_OPERATORS; empty: who owns the oldest account
    A dashboard that a person has saved since is theirs, and one that was deleted stays so.
    """
    wanted = _operators(engine, operators)
    if not wanted:
        return False
    if _owners(engine) != wanted or _saved(engine) != own_dashboard.document():
        events.retrying(engine, lambda conn: _ensure(conn, wanted, now))
    return True


def _ensure(conn: Connection, wanted: set[UserId], now: datetime) -> None:
    events.hold(conn)
    stream = f"account/{ACCOUNT}"
    if conn.scalar(select(accounts.c.id).where(accounts.c.id == ACCOUNT)) is None:
        created = NewEvent("account_created", {"name": NAME}, SYSTEM)
        events.append(conn, stream, events.version_of(conn, stream), [created], now)
    for user_id in sorted(wanted, key=str):
        memberships.grant_in(conn, ACCOUNT, user_id, Role.OWNER, now, actor=SYSTEM)
    for user_id in sorted(_owners_in(conn) - wanted, key=str):
        memberships.revoke_in(conn, ACCOUNT, user_id, now, actor=SYSTEM)
    _furnish(conn, now)


def _furnish(conn: Connection, now: datetime) -> None:
    """The dashboard, unless a person has made it theirs."""
    stream, document = f"dashboard/{DASHBOARD}", own_dashboard.document()
    version = events.version_of(conn, stream)
    row = conn.execute(select(dashboards).where(dashboards.c.id == DASHBOARD)).one_or_none()
    if version == 0:
        made = {"account_id": str(ACCOUNT), "document": rules.as_json(document)}
        events.append(conn, stream, 0, [NewEvent("dashboard_created", made, SYSTEM)], now)
    elif row is not None and row.saved_by == SYSTEM and rules.kept(row.document) != document:
        saved = NewEvent("dashboard_saved", {"document": rules.as_json(document)}, SYSTEM)
        events.append(conn, stream, version, [saved], now)


def _operators(engine: Engine, setting: str) -> set[UserId]:
    """Who operates the platform, of those who are known."""
    named = operators_of(setting)
    with reading(engine) as conn:
        if named:
            return {UserId(found) for found in conn.scalars(select(users.c.id).where(users.c.email.in_(named)))}
        others = select(accounts.c.id).where(accounts.c.id != ACCOUNT)
        oldest = conn.scalar(others.order_by(accounts.c.created_at, accounts.c.id).limit(1))
        owners = select(members.c.user_id).where(members.c.account_id == oldest, members.c.role == Role.OWNER.value)
        return {UserId(found) for found in conn.scalars(owners)}


def _owners(engine: Engine) -> set[UserId]:
    with reading(engine) as conn:
        return _owners_in(conn)


def _owners_in(conn: Connection) -> set[UserId]:
    owners = select(members.c.user_id).where(members.c.account_id == ACCOUNT, members.c.role == Role.OWNER.value)
    return {UserId(found) for found in conn.scalars(owners)}


def _saved(engine: Engine) -> Document | None:
    """The dashboard that we have saved; ours where a person has saved, or deleted, it since."""
    with reading(engine) as conn:
        row = conn.execute(select(dashboards).where(dashboards.c.id == DASHBOARD)).one_or_none()
        if row is None:
            known = events.version_of(conn, f"dashboard/{DASHBOARD}")
            return own_dashboard.document() if known else None
        return rules.kept(row.document) if row.saved_by == SYSTEM else own_dashboard.document()
