"""API keys of accounts: several at a time, each with scopes; the secret itself is kept nowhere."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import redis
import redis.asyncio
from sqlalchemy import Connection, Engine, func, insert, literal, select, update

from domain import keys
from domain.accounts import clean_name
from domain.errors import LimitReached, NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId, KeyId
from domain.keys import Scope
from schema import events
from schema.control.engine import reading
from schema.control.tables import accounts, api_key_uses, api_keys, users
from schema.control.tables import events as log
from schema.keys import KEY_REVOKED
from schema.lua import redis_faults

TOUCH_EVERY = timedelta(minutes=1)
ACTIVE_MAX = 100
"""How many keys of an account work at once."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `secret` is the whole text that the agent sends, shown once and not to be had again."""

    id: KeyId
    account_id: AccountId
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What authentication needs; `domain.keys.matches(text, secret_hash)` proves the key."""

    id: KeyId
    account_id: AccountId
    name: str
    scopes: frozenset[Scope]
    secret_hash: bytes = field(repr=False)
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as its account's people see it.

    last_used_at  exact to a minute or so
    made_by       the person's name or e-mail address; None for the platform and its operator
    """

    id: KeyId
    name: str
    scopes: frozenset[Scope]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    made_by: str | None


def create(
    engine: Engine, account_id: AccountId, name: str, scopes: Iterable[str], now: datetime, *, actor: str = SYSTEM
) -> NewKey:
    """A new key of an account.

    Raises NotFound for the account, InvalidBody for the name or a scope, LimitReached when it has ACTIVE_MAX keys.
    """
    asked = keys.scopes_of(scopes)
    return events.retrying(engine, lambda conn: create_in(conn, account_id, name, asked, now, actor=actor))


def create_in(
    conn: Connection, account_id: AccountId, name: str, scopes: frozenset[Scope], now: datetime, *, actor: str = SYSTEM
) -> NewKey:
    """As `create`, within the caller's transaction."""
    events.hold(conn)
    if conn.scalar(select(accounts.c.id).where(accounts.c.id == account_id)) is None:
        raise NotFound("There is no such account")
    _keep_few(conn, account_id)
    key_id, secret = keys.make()
    payload = {
        "account_id": str(account_id),
        "name": clean_name(name),
        "scopes": sorted(scopes),
        "secret_sha256": keys.digest(secret).hex(),
    }
    events.append(conn, f"key/{key_id}", 0, [NewEvent("key_created", payload, actor)], now)
    return NewKey(key_id, account_id, secret)


def find_by_public_id(engine: Engine, key_id: KeyId) -> StoredKey | None:
    """The key that calls itself so, revoked ones included; it still has to prove itself."""
    with reading(engine) as conn:
        found = conn.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
        if found is None:
            return None
        return StoredKey(
            found.id, found.account_id, found.name, _scopes(found.scopes), found.secret_hash, found.revoked_at
        )


def list_for(engine: Engine, account_id: AccountId) -> Sequence[ListedKey]:
    """All keys of an account, oldest first, revoked ones included."""
    columns = (*(api_keys.c[name] for name in ("id", "name", "scopes", "created_at", "revoked_at")),)
    made = (log.c.stream == literal("key/") + api_keys.c.id) & (log.c.version == 1)
    query = select(*columns, api_key_uses.c.last_used_at, log.c.actor).outerjoin(api_key_uses).outerjoin(log, made)
    theirs = query.where(api_keys.c.account_id == account_id).order_by(api_keys.c.created_at, api_keys.c.id)
    with reading(engine) as conn:
        found = conn.execute(theirs).all()
        people = _people(conn, {key.actor for key in found if key.actor})
    return [ListedKey(key.id, key.name, _scopes(key.scopes), *key[3:6], made_by=people.get(key.actor)) for key in found]


def revoke(engine: Engine, account_id: AccountId, key_id: KeyId, now: datetime, *, actor: str = SYSTEM) -> bool:
    """End a key; False when it was revoked before. Raises NotFound when the account has no such key."""
    return events.retrying(engine, lambda conn: _revoke(conn, account_id, key_id, now, actor))


async def tell_revoked(client: redis.asyncio.Redis, key_id: KeyId) -> None:
    """Have every API process forget the key now, and not within seconds. Raises StoreUnavailable."""
    with redis_faults():
        await client.publish(KEY_REVOKED, key_id)


def tell_revoked_sync(client: redis.Redis, key_id: KeyId) -> None:
    """The same from a command or a worker."""
    with redis_faults():
        client.publish(KEY_REVOKED, key_id)


def touch_last_used(engine: Engine, account_id: AccountId, key_id: KeyId, now: datetime) -> None:
    """Note that a key was used; at most once a minute does that write."""
    with reading(engine) as conn:
        if not _is_stale(conn, account_id, key_id, now):
            return
    events.retrying(engine, lambda conn: _touch(conn, account_id, key_id, now))


def _keep_few(conn: Connection, account_id: AccountId) -> None:
    is_active = (api_keys.c.account_id == account_id) & api_keys.c.revoked_at.is_(None)
    if (conn.scalar(select(func.count()).where(is_active)) or 0) >= ACTIVE_MAX:
        raise LimitReached(f"The account has {ACTIVE_MAX} API keys that work; revoke one that is no longer used")


def _people(conn: Connection, actors: Iterable[str]) -> dict[str, str]:
    """What those of the actors are called who are people and still here."""
    ids = [UUID(actor.removeprefix("user/")) for actor in actors if actor.startswith("user/")]
    found = conn.execute(select(users.c.id, users.c.name, users.c.email).where(users.c.id.in_(ids)))
    return {f"user/{user.id}": user.name or user.email or "someone" for user in found}


def _scopes(names: Iterable[str]) -> frozenset[Scope]:
    return frozenset(Scope(name) for name in names)


def _revoke(conn: Connection, account_id: AccountId, key_id: KeyId, now: datetime, actor: str) -> bool:
    events.hold(conn)
    theirs = (api_keys.c.id == key_id) & (api_keys.c.account_id == account_id)
    found = conn.execute(select(api_keys.c.version, api_keys.c.revoked_at).where(theirs)).one_or_none()
    if found is None:
        raise NotFound("The account has no such key")
    if found.revoked_at is not None:
        return False
    events.append(conn, f"key/{key_id}", found.version, [NewEvent("key_revoked", {}, actor)], now)
    return True


def _is_stale(conn: Connection, account_id: AccountId, key_id: KeyId, now: datetime) -> bool:
    """Whether there is such a key and its last use is unknown or old."""
    theirs = (api_keys.c.id == key_id) & (api_keys.c.account_id == account_id)
    found = conn.execute(
        select(api_key_uses.c.last_used_at).select_from(api_keys).outerjoin(api_key_uses).where(theirs)
    )
    return any(last is None or now - last >= TOUCH_EVERY for (last,) in found)


def _touch(conn: Connection, account_id: AccountId, key_id: KeyId, now: datetime) -> None:
    if not _is_stale(conn, account_id, key_id, now):
        return
    used = {"last_used_at": now}
    if conn.execute(update(api_key_uses).where(api_key_uses.c.key_id == key_id).values(used)).rowcount == 0:
        conn.execute(insert(api_key_uses).values(key_id=key_id, **used))
