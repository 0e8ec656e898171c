"""Dashboards: each a stream of whole documents, so that every revision can be seen and brought back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Row, Select, exists, func, select

from domain import dashboards as rules
from domain.accounts import called
from domain.dashboards import Document
from domain.errors import LimitReached, NotFound, Outdated
from domain.events import NewEvent
from domain.ids import AccountId
from schema import events
from schema.control.engine import reading
from schema.control.tables import dashboards, shares, users
from schema.control.tables import events as log

DASHBOARDS_MAX = 1_000
"""How many an account may have."""
REVISIONS_LISTED = 50
GONE = "There is no such dashboard in this account; perhaps it was deleted"


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One dashboard as it is now, or as it was in the revision `version`."""

    id: UUID
    account_id: AccountId
    document: Document
    version: int
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Listed:
    """A dashboard in the list of all; `saved_by` is what to call who saved it last."""

    id: UUID
    title: str
    panels: int
    is_shared: bool
    saved_by: str
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Revision:
    """One save: who, when, what it was; `restored` is the revision it went back to."""

    version: int
    saved_by: str
    saved_at: datetime
    title: str
    panels: int
    restored: int | None


def create(engine: Engine, account_id: AccountId, document: Document, now: datetime, *, actor: str) -> Dashboard:
    """A new dashboard. Raises LimitReached."""

    def work(conn: Connection) -> Dashboard:
        events.hold(conn)
        _keep_few(conn, account_id)
        dashboard_id = uuid4()
        payload = {"account_id": str(account_id), "document": rules.as_json(document)}
        events.append(conn, f"dashboard/{dashboard_id}", 0, [NewEvent("dashboard_created", payload, actor)], now)
        return Dashboard(dashboard_id, account_id, document, 1, actor, now)

    return events.retrying(engine, work)


def save(
    engine: Engine,
    account_id: AccountId,
    dashboard_id: UUID,
    document: Document,
    expected_version: int,
    now: datetime,
    *,
    actor: str,
    restored: int | None = None,
) -> Dashboard:
    """The next revision of a dashboard; one that equals the last is none, and changes nothing.

    expected_version  the revision that was looked at. Raises NotFound, and Outdated with who was faster.
    """

    def work(conn: Connection) -> Dashboard:
        events.hold(conn)
        last = _one(conn, account_id, dashboard_id)
        if last.version != expected_version:
            raise _outdated(conn, last, expected_version)
        if last.document == document:
            return last
        payload: dict[str, Any] = {"document": rules.as_json(document)}
        if restored is not None:
            payload["restored"] = restored
        saved = NewEvent("dashboard_saved", payload, actor)
        version = events.append(conn, f"dashboard/{dashboard_id}", last.version, [saved], now)
        return Dashboard(dashboard_id, account_id, document, version, actor, now)

    return events.retrying(engine, work)


def delete(engine: Engine, account_id: AccountId, dashboard_id: UUID, now: datetime, *, actor: str) -> None:
    """End a dashboard, and every link to it. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        last = _one(conn, account_id, dashboard_id)
        title = {"title": last.document.title}
        links = select(shares.c.id, shares.c.version).where(shares.c.dashboard_id == dashboard_id)
        for share_id, version in conn.execute(links).all():
            events.append(conn, f"share/{share_id}", version, [NewEvent("share_revoked", title, actor)], now)
        deleted = NewEvent("dashboard_deleted", title, actor)
        events.append(conn, f"dashboard/{dashboard_id}", last.version, [deleted], now)

    events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, dashboard_id: UUID) -> Dashboard:
    """The account's dashboard with this id. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, dashboard_id)


def find_revision(engine: Engine, account_id: AccountId, dashboard_id: UUID, version: int) -> Dashboard:
    """A dashboard as it was once. Raises NotFound."""
    with reading(engine) as conn:
        _one(conn, account_id, dashboard_id)
        found = conn.execute(_saves(account_id, dashboard_id).where(log.c.version == version)).one_or_none()
        if found is None:
            raise NotFound(f"This dashboard has no revision {version}")
        document = rules.kept(found.payload["document"])
        return Dashboard(dashboard_id, account_id, document, version, found.actor, found.at)


def list_for(engine: Engine, account_id: AccountId) -> Sequence[Listed]:
    """All dashboards of an account, by title."""
    columns = (dashboards.c[name] for name in ("id", "title", "panels", "saved_by", "saved_at"))
    is_shared = exists().where(shares.c.dashboard_id == dashboards.c.id).label("is_shared")
    query = select(*columns, is_shared).where(dashboards.c.account_id == account_id)
    with reading(engine) as conn:
        found = conn.execute(query).all()
        names = names_of(conn, [row.saved_by for row in found])
    listed = [Listed(row.id, row.title, row.panels, row.is_shared, names[row.saved_by], row.saved_at) for row in found]
    return sorted(listed, key=lambda one: (one.title.casefold(), str(one.id)))


def revisions(engine: Engine, account_id: AccountId, dashboard_id: UUID) -> Sequence[Revision]:
    """The latest saves of a dashboard, the newest first. Raises NotFound."""
    with reading(engine) as conn:
        _one(conn, account_id, dashboard_id)
        newest = _saves(account_id, dashboard_id).order_by(log.c.version.desc()).limit(REVISIONS_LISTED)
        found = conn.execute(newest).all()
        names = names_of(conn, [row.actor for row in found])
    return [_revision(row, names) for row in found]


def names_of(conn: Connection, actors: Sequence[str]) -> dict[str, str]:
    """What to call each actor."""
    ids = {actor: UUID(actor.removeprefix("user/")) for actor in actors if actor.startswith("user/")}
    known = select(users.c.id, users.c.name, users.c.email).where(users.c.id.in_(set(ids.values())))
    people = {user.id: called(user.name, user.email) for user in conn.execute(known)}
    return {actor: people.get(ids[actor], "someone") if actor in ids else "Metrist" for actor in actors}


def _one(conn: Connection, account_id: AccountId, dashboard_id: UUID) -> Dashboard:
    theirs = (dashboards.c.account_id == account_id) & (dashboards.c.id == dashboard_id)
    row = conn.execute(select(dashboards).where(theirs)).one_or_none()
    if row is None:
        raise NotFound(GONE)
    return Dashboard(row.id, row.account_id, rules.kept(row.document), row.version, row.saved_by, row.saved_at)


def _keep_few(conn: Connection, account_id: AccountId) -> None:
    theirs = select(func.count()).select_from(dashboards).where(dashboards.c.account_id == account_id)
    if (conn.scalar(theirs) or 0) >= DASHBOARDS_MAX:
        raise LimitReached(f"The account has {DASHBOARDS_MAX:,} dashboards; delete one that is no longer used")


def _outdated(conn: Connection, last: Dashboard, expected_version: int) -> Outdated:
    by = names_of(conn, [last.saved_by])[last.saved_by]
    return Outdated(
        f"{by} saved revision {last.version} of this dashboard; your changes began with revision {expected_version}",
        saved_by=by,
        saved_at=last.saved_at.timestamp(),
        version=last.version,
    )


def _saves(account_id: AccountId, dashboard_id: UUID) -> Select[Any]:
    return select(log).where(
        log.c.stream == f"dashboard/{dashboard_id}",
        log.c.account_id == account_id,
        log.c.type.in_(("dashboard_created", "dashboard_saved")),
    )


def _revision(row: Row[Any], names: dict[str, str]) -> Revision:
    document = row.payload["document"]
    return Revision(
        row.version,
        names[row.actor],
        row.at,
        document["title"],
        len(document["panels"]),
        row.payload.get("restored"),
    )
