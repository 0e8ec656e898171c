"""Accounts: who owns nodes."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from sqlalchemy import Connection, Engine, Select, func, select, update
from sqlalchemy import delete as sql_delete

from domain import own_account
from domain.accounts import Role, clean_name
from domain.errors import LimitReached, NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId, UserId
from domain.keys import Scope
from schema import api_keys, erasures, events, memberships, users
from schema.api_keys import NewKey
from schema.control import tables
from schema.control.engine import reading
from schema.control.tables import accounts
from schema.users import UserRow

FIRST_OWNER = "owner@localhost"
FIRST_ACCOUNT = "home"
OWNED_MAX = 50
"""How many accounts one person may own by making them on the site."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account as it is now; deregister_after_s is None where it goes by the platform's settings."""

    id: AccountId
    name: str
    created_at: datetime
    version: int
    deregister_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class First:
    """What the very first start has made; the key's secret is shown now or never."""

    user_id: UserId
    account_id: AccountId
    key: NewKey


def create(engine: Engine, name: str, owner_email: str | None, now: datetime, *, actor: str = SYSTEM) -> AccountRow:
    """A new account, and its owner, made too when no user has this address; names need not be unique."""
    return events.retrying(engine, lambda conn: _create(conn, name, owner_email, now, actor))


def create_in(conn: Connection, name: str, owner_id: UserId, now: datetime, *, actor: str) -> AccountRow:
    """As `create`, for an owner who is known, within the caller's transaction. Raises InvalidBody."""
    account = _open(conn, name, now, actor)
    memberships.grant_in(conn, account.id, owner_id, Role.OWNER, now, actor=actor)
    return account


def create_for(engine: Engine, name: str, owner: UserId, now: datetime) -> AccountRow:
    """A new account of a person who has signed in. Raises InvalidBody, LimitReached."""
    return events.retrying(engine, lambda conn: _create_for(conn, name, owner, now))


def find(engine: Engine, account_id: AccountId) -> AccountRow | None:
    """The account with this id."""
    with reading(engine) as conn:
        return _find(conn, account_id)


def named(engine: Engine, name: str) -> Sequence[AccountRow]:
    """Accounts of exactly this name, oldest first."""
    return _list(engine, select(accounts).where(accounts.c.name == clean_name(name)))


def list_all(engine: Engine) -> Sequence[AccountRow]:
    """Every account, oldest first."""
    return _list(engine, select(accounts))


def list_of(engine: Engine, user_id: UserId) -> Sequence[AccountRow]:
    """The accounts a user belongs to, oldest first."""
    return _list(engine, select(accounts).join(tables.memberships).where(tables.memberships.c.user_id == user_id))


def rename(engine: Engine, account_id: AccountId, name: str, now: datetime, *, actor: str) -> AccountRow:
    """The account under its new name. Raises NotFound, InvalidBody."""
    return events.retrying(engine, lambda conn: _rename(conn, account_id, clean_name(name), now, actor))


def configure(
    engine: Engine, account_id: AccountId, deregister_after_s: int | None, now: datetime, *, actor: str
) -> AccountRow:
    """The account with its own limit for silent nodes, or None for the platform's. Raises NotFound."""
    return events.retrying(engine, lambda conn: _configure(conn, account_id, deregister_after_s, now, actor))


def delete(engine: Engine, account_id: AccountId, now: datetime, *, actor: str) -> None:
    """End an account: its rows and its history go with this commit, its samples soon after. Raises NotFound.

    The history holds names and labels, so it goes too; what stays is one event, that the account was deleted, by whom
    and when. Its number goes on from the erased ones: who decided on them loses. See docs/adr/0007-erasing.md.
    """
    events.retrying(engine, lambda conn: _delete(conn, account_id, now, actor))


def ensure_first(engine: Engine, now: datetime) -> First | None:
    """On an empty database make a user, an account and a key for it; None when there is an account already.

    Of several processes that start together one gets the key, the others None.
    """
    return events.retrying(engine, lambda conn: _ensure_first(conn, now))


def first_owner(engine: Engine) -> UserRow | None:
    """The oldest owner of the oldest account: for whom `metrist up` prints its sign-in link."""
    members = tables.memberships
    owners = select(tables.users).join(members).join(accounts).where(members.c.role == Role.OWNER.value)
    oldest = owners.order_by(accounts.c.created_at, accounts.c.id, members.c.granted_at, members.c.user_id).limit(1)
    with reading(engine) as conn:
        found = conn.execute(oldest).mappings().one_or_none()
        return UserRow(**found) if found else None


def _create(conn: Connection, name: str, owner_email: str | None, now: datetime, actor: str) -> AccountRow:
    if owner_email is None:
        return _open(conn, name, now, actor)
    owner = users.find_or_create(conn, owner_email, now, actor=actor)
    return create_in(conn, name, owner.id, now, actor=actor)


def _open(conn: Connection, name: str, now: datetime, actor: str) -> AccountRow:
    account = AccountRow(AccountId(uuid4()), clean_name(name), now, version=1)
    events.append(conn, f"account/{account.id}", 0, [NewEvent("account_created", {"name": account.name}, actor)], now)
    return account


def _create_for(conn: Connection, name: str, owner: UserId, now: datetime) -> AccountRow:
    events.hold(conn)
    theirs = (tables.memberships.c.user_id == owner) & (tables.memberships.c.role == Role.OWNER.value)
    if (conn.scalar(select(func.count()).select_from(tables.memberships).where(theirs)) or 0) >= OWNED_MAX:
        raise LimitReached(f"You own {OWNED_MAX} accounts; delete one that is no longer used")
    return create_in(conn, name, owner, now, actor=f"user/{owner}")


def _find(conn: Connection, account_id: AccountId) -> AccountRow | None:
    found = conn.execute(select(accounts).where(accounts.c.id == account_id)).mappings().one_or_none()
    return AccountRow(**found) if found else None


def _list(engine: Engine, query: Select[*tuple[object, ...]]) -> Sequence[AccountRow]:
    with reading(engine) as conn:
        found = conn.execute(query.order_by(accounts.c.created_at, accounts.c.id)).mappings()
        return [AccountRow(**account) for account in found]


def _rename(conn: Connection, account_id: AccountId, name: str, now: datetime, actor: str) -> AccountRow:
    events.hold(conn)
    account = _known(conn, account_id)
    if account.name == name:
        return account
    renamed = NewEvent("account_renamed", {"name": name}, actor)
    version = events.append(conn, f"account/{account_id}", account.version, [renamed], now)
    return replace(account, name=name, version=version)


def _configure(
    conn: Connection, account_id: AccountId, deregister_after_s: int | None, now: datetime, actor: str
) -> AccountRow:
    events.hold(conn)
    account = _known(conn, account_id)
    if account.deregister_after_s == deregister_after_s:
        return account
    configured = NewEvent("account_configured", {"deregister_after_s": deregister_after_s}, actor)
    version = events.append(conn, f"account/{account_id}", account.version, [configured], now)
    return replace(account, deregister_after_s=deregister_after_s, version=version)


def _delete(conn: Connection, account_id: AccountId, now: datetime, actor: str) -> None:
    events.hold(conn)
    account = _known(conn, account_id)
    for table in reversed(tables.STATES.values()):
        if "account_id" in table.c:
            conn.execute(sql_delete(table).where(table.c.account_id == account_id))
    conn.execute(update(tables.sessions).where(tables.sessions.c.account_id == account_id).values(account_id=None))
    deleted = NewEvent("account_deleted", {}, actor)
    events.append(conn, f"account/{account_id}", account.version, [deleted], now)
    events.forget(conn, account_id, but_last_of=f"account/{account_id}")
    erasures.ask(conn, account_id, "", now)


def _known(conn: Connection, account_id: AccountId) -> AccountRow:
    account = _find(conn, account_id)
    if account is None:
        raise NotFound("There is no such account")
    return account


def _ensure_first(conn: Connection, now: datetime) -> First | None:
    events.hold(conn)
    if conn.scalar(select(accounts.c.id).where(accounts.c.id != own_account.ACCOUNT).limit(1)) is not None:
        return None
    account = _create(conn, FIRST_ACCOUNT, FIRST_OWNER, now, SYSTEM)
    owner = users.find_or_create(conn, FIRST_OWNER, now)
    key = api_keys.create_in(conn, account.id, "first key", frozenset({Scope.INGEST, Scope.READ}), now)
    return First(owner.id, account.id, key)
