"""One-time sign-in links and the sessions they become; only SHA-256 of their tokens is stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine, RowMapping, delete, insert, select, update

from domain import tokens
from domain.accounts import Role
from domain.ids import AccountId, UserId
from schema import events
from schema.control.engine import reading
from schema.control.tables import accounts, memberships, sessions, sign_in_links, users

TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at pages, and at which account's."""

    user_id: UserId
    email: str | None
    account_id: AccountId
    account_name: str
    role: Role


def create_link(engine: Engine, user_id: UserId, now: datetime, minutes: int) -> str:
    """A token that signs this user in, once, within so many minutes."""
    token = tokens.make()
    link = {"token_hash": tokens.digest(token), "user_id": user_id, "created_at": now}
    with engine.begin() as conn:
        conn.execute(insert(sign_in_links).values(**link, expires_at=now + timedelta(minutes=minutes)))
    return token


def redeem(engine: Engine, token: str, now: datetime, *, idle_days: int = 14, max_days: int = 90) -> str | None:
    """Turn a link's token into a session's; None for one that is unknown, used or too old.

    idle_days, max_days  the session ends after so long unused, and after so long in any case
    """
    return events.retrying(engine, lambda conn: _redeem(conn, token, now, idle_days, max_days))


def find(engine: Engine, session_token: str, now: datetime) -> Viewer | None:
    """Who this session belongs to; None when it has ended or they belong to no account any more.

    Being seen keeps the session from going idle; at most once a minute does that write.
    """
    with reading(engine) as conn:
        found = _find(conn, tokens.digest(session_token), now)
    if found is None:
        return None
    if now - found["last_seen_at"] >= TOUCH_EVERY:
        _touch(engine, found, now)
    return Viewer(
        user_id=found["user_id"],
        email=found["email"],
        account_id=found["account_id"],
        account_name=found["account_name"],
        role=Role(found["role"]),
    )


def end(engine: Engine, session_token: str) -> None:
    """Sign out here."""
    with engine.begin() as conn:
        conn.execute(delete(sessions).where(sessions.c.token_hash == tokens.digest(session_token)))


def end_all(engine: Engine, user_id: UserId) -> int:
    """Sign a user out everywhere, links not yet used included; returns how many sessions that were."""
    with engine.begin() as conn:
        conn.execute(delete(sign_in_links).where(sign_in_links.c.user_id == user_id))
        return conn.execute(delete(sessions).where(sessions.c.user_id == user_id)).rowcount


def purge(engine: Engine, now: datetime) -> int:
    """Remove what no longer signs anyone in; returns how many rows."""
    is_over = (sessions.c.expires_at <= now) | (sessions.c.idle_until <= now)
    with engine.begin() as conn:
        links = conn.execute(delete(sign_in_links).where(sign_in_links.c.expires_at <= now))
        return links.rowcount + conn.execute(delete(sessions).where(is_over)).rowcount


def _redeem(conn: Connection, token: str, now: datetime, idle_days: int, max_days: int) -> str | None:
    user_id = _use_link(conn, token, now)
    return None if user_id is None else _start(conn, user_id, now, timedelta(idle_days), timedelta(max_days))


def _use_link(conn: Connection, token: str, now: datetime) -> UserId | None:
    """Mark the link used in one statement: of two that come at once, the database lets one through."""
    link = sign_in_links.c
    is_good = (link.token_hash == tokens.digest(token)) & link.redeemed_at.is_(None) & (link.expires_at > now)
    used = update(sign_in_links).where(is_good).values(redeemed_at=now).returning(link.user_id)
    user_id: UserId | None = conn.scalar(used)
    return user_id


def _start(conn: Connection, user_id: UserId, now: datetime, idle: timedelta, longest: timedelta) -> str:
    token = tokens.make()
    conn.execute(
        insert(sessions).values(
            token_hash=tokens.digest(token),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            idle_until=now + idle,
            idle_s=int(idle.total_seconds()),
            expires_at=now + longest,
        )
    )
    return token


def _find(conn: Connection, token_hash: bytes, now: datetime) -> RowMapping | None:
    """The session with its user, and of the user's accounts the chosen one or else the first they joined."""
    joined = (
        select(
            *(sessions.c[name] for name in ("token_hash", "last_seen_at", "idle_s")),
            *(users.c.id.label("user_id"), users.c.email),
            *(accounts.c.id.label("account_id"), accounts.c.name.label("account_name"), memberships.c.role),
        )
        .select_from(sessions)
        .join(users, users.c.id == sessions.c.user_id)
        .join(memberships, memberships.c.user_id == users.c.id)
        .join(accounts, accounts.c.id == memberships.c.account_id)
    )
    is_good = (sessions.c.token_hash == token_hash) & (sessions.c.idle_until > now) & (sessions.c.expires_at > now)
    chosen_first = (accounts.c.id == sessions.c.account_id).desc().nulls_last()
    order = (chosen_first, memberships.c.granted_at, accounts.c.id)
    return conn.execute(joined.where(is_good).order_by(*order).limit(1)).mappings().one_or_none()


def _touch(engine: Engine, session: RowMapping, now: datetime) -> None:
    seen = {"last_seen_at": now, "idle_until": now + timedelta(seconds=session["idle_s"])}
    with engine.begin() as conn:
        conn.execute(update(sessions).where(sessions.c.token_hash == session["token_hash"]).values(seen))
