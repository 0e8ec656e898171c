"""One-time sign-in links and sessions; only SHA-256 of their tokens is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, delete, exists, insert, select, update

from domain import tokens
from domain.accounts import Role
from domain.errors import NotFound
from domain.ids import AccountId, UserId
from domain.own_account import ACCOUNT
from schema import events
from schema.control.engine import reading
from schema.control.tables import accounts, memberships, sessions, sign_in_links, users
from schema.memberships import Belonging

TOUCH_EVERY = timedelta(minutes=1)
ACCOUNTS_MOST = 200
"""So many of a person's accounts does the switcher offer."""
SEEN = (
    *(sessions.c[name] for name in ("token_hash", "last_seen_at", "idle_s")),
    *(users.c.id.label("user_id"), users.c.email, users.c.name),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who has signed in, whether or not they belong to an account."""

    user_id: UserId
    email: str | None
    name: str | None

    @property
    def actor(self) -> str:
        """As whom they appear in the log of events."""
        return f"user/{self.user_id}"

    @property
    def called(self) -> str:
        """What to call them on a page."""
        return self.name or self.email or "someone"


@dataclass(frozen=True, slots=True)
class Viewer(Person):
    """Who looks at pages, and at which account's."""

    account_id: AccountId
    account_name: str
    role: Role
    accounts: tuple[Belonging, ...] = ()
    """All they belong to, by name, for the page's switcher."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How a new session is to be.

    idle_days, max_days  it ends after so long unused, and after so long in any case
    browser              in words, for the person's own list
    replaces             token of the session this browser had; it ends, so that nobody's old cookie stays good
    """

    idle_days: int = 14
    max_days: int = 90
    browser: str | None = None
    replaces: str | None = None


USUAL = Terms()


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A session as its own person sees it; `id` names it and opens nothing."""

    id: str
    browser: str | None
    created_at: datetime
    last_seen_at: datetime


def create_link(engine: Engine, user_id: UserId, now: datetime, minutes: int) -> str:
    """A token that signs this user in, once, within so many minutes."""
    token = tokens.make()
    link = {"token_hash": tokens.digest(token), "user_id": user_id, "created_at": now}
    with engine.begin() as conn:
        conn.execute(insert(sign_in_links).values(**link, expires_at=now + timedelta(minutes=minutes)))
    return token


def redeem(engine: Engine, token: str, now: datetime, terms: Terms = USUAL) -> str | None:
    """Turn a link's token into a session's; None for one that is unknown, used or too old."""
    return events.retrying(engine, lambda conn: _redeem(conn, token, now, terms))


def start(engine: Engine, user_id: UserId, now: datetime, terms: Terms) -> str:
    """The token of a new session, for whom a provider has vouched."""
    return events.retrying(engine, lambda conn: _start(conn, user_id, now, terms))


def find(engine: Engine, session_token: str, now: datetime) -> Viewer | None:
    """Who this session belongs to; None when it has ended or they belong to no account any more.

    Being seen keeps the session from going idle; at most once a minute does that write.
    """
    with reading(engine) as conn:
        found = _find_viewer(conn, tokens.digest(session_token), now)
    if not found:
        return None
    _touch(engine, found[0], now)
    theirs = [Belonging(one["account_id"], one["account_name"], Role(one["role"])) for one in found]
    shown = theirs[0]
    return Viewer(
        user_id=found[0]["user_id"],
        email=found[0]["email"],
        name=found[0]["name"],
        account_id=shown.account_id,
        account_name=shown.name,
        role=shown.role,
        accounts=tuple(sorted(theirs, key=Belonging.place)),
    )


def find_person(engine: Engine, session_token: str, now: datetime) -> Person | None:
    """As `find`, for pages that need no account."""
    with reading(engine) as conn:
        found = _find_person(conn, tokens.digest(session_token), now)
    if found is None:
        return None
    _touch(engine, found, now)
    return Person(found["user_id"], found["email"], found["name"])


def choose(engine: Engine, session_token: str, account_id: AccountId) -> None:
    """Look at this account from now on. Raises NotFound for an account they do not belong to."""
    session = sessions.c
    belongs = exists().where(memberships.c.user_id == session.user_id, memberships.c.account_id == account_id)
    mine = (session.token_hash == tokens.digest(session_token)) & belongs
    with engine.begin() as conn:
        if conn.execute(update(sessions).where(mine).values(account_id=account_id)).rowcount == 0:
            raise NotFound("You belong to no such account")


def list_for(engine: Engine, user_id: UserId, now: datetime) -> Sequence[ListedSession]:
    """A person's sessions, last seen first."""
    columns = (sessions.c.token_hash, sessions.c.browser, sessions.c.created_at, sessions.c.last_seen_at)
    theirs = select(*columns).where(sessions.c.user_id == user_id, _is_good(now))
    with reading(engine) as conn:
        found = conn.execute(theirs.order_by(sessions.c.last_seen_at.desc(), sessions.c.token_hash))
        return [ListedSession(_id_of(token_hash), *others) for token_hash, *others in found]


def session_id(session_token: str) -> str:
    """The id under which `list_for` has this session."""
    return _id_of(tokens.digest(session_token))


def end(engine: Engine, session_token: str) -> None:
    """Sign out here."""
    with engine.begin() as conn:
        conn.execute(delete(sessions).where(sessions.c.token_hash == tokens.digest(session_token)))


def end_one(engine: Engine, user_id: UserId, listed_id: str) -> None:
    """End one of a person's own sessions; nothing happens when it has ended already."""
    theirs = select(sessions.c.token_hash).where(sessions.c.user_id == user_id)
    with engine.begin() as conn:
        for token_hash in conn.scalars(theirs).all():
            if _id_of(token_hash) == listed_id:
                conn.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def end_all(engine: Engine, user_id: UserId, *, spare: str | None = None) -> int:
    """Sign a user out everywhere, links not yet used included; returns how many sessions that were.

    spare  token of a session that stays
    """
    theirs = sessions.c.user_id == user_id
    if spare is not None:
        theirs &= sessions.c.token_hash != tokens.digest(spare)
    with engine.begin() as conn:
        conn.execute(delete(sign_in_links).where(sign_in_links.c.user_id == user_id))
        return conn.execute(delete(sessions).where(theirs)).rowcount


def purge(engine: Engine, now: datetime) -> int:
    """Remove what no longer signs anyone in; returns how many rows."""
    is_over = (sessions.c.expires_at <= now) | (sessions.c.idle_until <= now)
    with engine.begin() as conn:
        links = conn.execute(delete(sign_in_links).where(sign_in_links.c.expires_at <= now))
        return links.rowcount + conn.execute(delete(sessions).where(is_over)).rowcount


def _redeem(conn: Connection, token: str, now: datetime, terms: Terms) -> str | None:
    user_id = _use_link(conn, token, now)
    return None if user_id is None else _start(conn, user_id, now, terms)


def _use_link(conn: Connection, token: str, now: datetime) -> UserId | None:
    """Mark the link used in one statement: of two that come at once, the database lets one through."""
    link = sign_in_links.c
    is_good = (link.token_hash == tokens.digest(token)) & link.redeemed_at.is_(None) & (link.expires_at > now)
    used = update(sign_in_links).where(is_good).values(redeemed_at=now).returning(link.user_id)
    user_id: UserId | None = conn.scalar(used)
    return user_id


def _start(conn: Connection, user_id: UserId, now: datetime, terms: Terms) -> str:
    if terms.replaces is not None:
        conn.execute(delete(sessions).where(sessions.c.token_hash == tokens.digest(terms.replaces)))
    token = tokens.make()
    idle = timedelta(terms.idle_days)
    conn.execute(
        insert(sessions).values(
            token_hash=tokens.digest(token),
            user_id=user_id,
            created_at=now,
            last_seen_at=now,
            idle_until=now + idle,
            idle_s=int(idle.total_seconds()),
            expires_at=now + timedelta(terms.max_days),
            browser=terms.browser,
        )
    )
    return token


def _find_viewer(conn: Connection, token_hash: bytes, now: datetime) -> Sequence[RowMapping]:
    """The session with its user and each of their accounts: the chosen one first, then as they joined them.

    The platform's own comes last: nobody signs in to look at that.
    """
    joined = (
        select(*SEEN, *(accounts.c.id.label("account_id"), accounts.c.name.label("account_name"), memberships.c.role))
        .select_from(sessions)
        .join(users, users.c.id == sessions.c.user_id)
        .join(memberships, memberships.c.user_id == users.c.id)
        .join(accounts, accounts.c.id == memberships.c.account_id)
    )
    chosen_first = (accounts.c.id == sessions.c.account_id).desc().nulls_last()
    order = (chosen_first, accounts.c.id == ACCOUNT, memberships.c.granted_at, accounts.c.id)
    theirs = joined.where(sessions.c.token_hash == token_hash, _is_good(now))
    return conn.execute(theirs.order_by(*order).limit(ACCOUNTS_MOST)).mappings().all()


def _find_person(conn: Connection, token_hash: bytes, now: datetime) -> RowMapping | None:
    joined = select(*SEEN).select_from(sessions).join(users, users.c.id == sessions.c.user_id)
    theirs = joined.where(sessions.c.token_hash == token_hash, _is_good(now))
    return conn.execute(theirs).mappings().one_or_none()


def _is_good(now: datetime) -> ColumnElement[bool]:
    return (sessions.c.idle_until > now) & (sessions.c.expires_at > now)


def _id_of(token_hash: bytes) -> str:
    return token_hash.hex()[:16]


def _touch(engine: Engine, session: RowMapping, now: datetime) -> None:
    if now - session["last_seen_at"] < TOUCH_EVERY:
        return
    seen = {"last_seen_at": now, "idle_until": now + timedelta(seconds=session["idle_s"])}
    with engine.begin() as conn:
        conn.execute(update(sessions).where(sessions.c.token_hash == session["token_hash"]).values(seen))
