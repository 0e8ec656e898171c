"""Links to dashboards; a link's secret is kept nowhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine, func, select

from domain import dashboards as dashboard_rules
from domain import shares as rules
from domain.dashboards import Value, as_value
from domain.errors import LimitReached, NotFound
from domain.events import NewEvent
from domain.ids import AccountId, ShareId
from schema import events
from schema.control.engine import reading
from schema.control.tables import dashboards, shares
from schema.dashboards import GONE, Dashboard, names_of

CLOSED = "This link does not work: it was revoked, or is too old. Ask whoever gave it to you for a new one"


@dataclass(frozen=True, slots=True)
class NewShare:
    """A link just made; `token` is what it ends in, shown once and not to be had again."""

    id: ShareId
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Share:
    """A link that works, as the account's people see it."""

    id: ShareId
    note: str
    fixed: Mapping[str, Value]
    created_by: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link leads to, and the values of variables that its readers cannot change."""

    id: ShareId
    dashboard: Dashboard
    fixed: Mapping[str, Value]


def create(
    engine: Engine,
    account_id: AccountId,
    dashboard_id: UUID,
    note: str,
    fixed: Mapping[str, Value],
    lasts: timedelta | None,
    now: datetime,
    *,
    actor: str,
) -> NewShare:
    """A link to a dashboard, for good or for a while. Raises NotFound, InvalidBody, LimitReached."""
    cleaned = rules.clean_note(note)

    def work(conn: Connection) -> NewShare:
        events.hold(conn)
        title = _title(conn, account_id, dashboard_id)
        _end_old(conn, account_id, now)
        _keep_few(conn, account_id)
        share_id, token = rules.make()
        payload = {
            "account_id": str(account_id),
            "dashboard_id": str(dashboard_id),
            "secret_sha256": rules.digest(token).hex(),
            "note": cleaned,
            "fixed": {name: value if isinstance(value, str) else list(value) for name, value in fixed.items()},
            "title": title,
            "expires_at": (now + lasts).isoformat() if lasts else None,
        }
        events.append(conn, f"share/{share_id}", 0, [NewEvent("share_created", payload, actor)], now)
        return NewShare(share_id, token)

    return events.retrying(engine, work)


def list_for(engine: Engine, account_id: AccountId, dashboard_id: UUID, now: datetime) -> Sequence[Share]:
    """The links to a dashboard that work, the newest first."""
    theirs = (shares.c.account_id == account_id) & (shares.c.dashboard_id == dashboard_id)
    working = shares.c.expires_at.is_(None) | (shares.c.expires_at > now)
    query = select(shares).where(theirs, working).order_by(shares.c.created_at.desc(), shares.c.id)
    with reading(engine) as conn:
        found = conn.execute(query).all()
        names = names_of(conn, [row.created_by for row in found])
    return [
        Share(ShareId(row.id), row.note, _values(row.fixed), names[row.created_by], row.created_at, row.expires_at)
        for row in found
    ]


def revoke(
    engine: Engine, account_id: AccountId, dashboard_id: UUID, share_id: str, now: datetime, *, actor: str
) -> None:
    """End a link. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        title = _title(conn, account_id, dashboard_id)
        theirs = (shares.c.account_id == account_id) & (shares.c.dashboard_id == dashboard_id)
        version = conn.scalar(select(shares.c.version).where(theirs, shares.c.id == share_id))
        if version is None:
            raise NotFound("That link is gone: it was revoked before")
        revoked = NewEvent("share_revoked", {"title": title}, actor)
        events.append(conn, f"share/{share_id}", version, [revoked], now)

    events.retrying(engine, work)


def find(engine: Engine, token: str, now: datetime) -> Shared:
    """What a link leads to. Raises NotFound, in one wording for whatever does not work."""
    share_id = rules.public_id(token)
    joined = shares.join(dashboards, dashboards.c.id == shares.c.dashboard_id)
    columns = (shares.c.secret_hash, shares.c.fixed, shares.c.expires_at)
    query = select(*columns, dashboards).select_from(joined).where(shares.c.id == share_id)
    with reading(engine) as conn:
        row = conn.execute(query).one_or_none() if share_id else None
    if share_id is None or row is None or not rules.matches(token, row.secret_hash):
        raise NotFound(CLOSED)
    if row.expires_at is not None and row.expires_at <= now:
        raise NotFound(CLOSED)
    document = dashboard_rules.kept(row.document)
    shown = Dashboard(row.id, row.account_id, document, row.version, row.saved_by, row.saved_at)
    return Shared(share_id, shown, _values(row.fixed))


def _title(conn: Connection, account_id: AccountId, dashboard_id: UUID) -> str:
    theirs = (dashboards.c.account_id == account_id) & (dashboards.c.id == dashboard_id)
    title = conn.scalar(select(dashboards.c.title).where(theirs))
    if title is None:
        raise NotFound(GONE)
    return str(title)


def _end_old(conn: Connection, account_id: AccountId, now: datetime) -> None:
    """End those whose time is over, so that they do not pile up."""
    joined = shares.join(dashboards, dashboards.c.id == shares.c.dashboard_id)
    columns = select(shares.c.id, shares.c.version, dashboards.c.title).select_from(joined)
    too_old = (shares.c.account_id == account_id) & (shares.c.expires_at <= now)
    for share_id, version, title in conn.execute(columns.where(too_old)).all():
        ended = NewEvent("share_revoked", {"title": title, "cause": "too old"})
        events.append(conn, f"share/{share_id}", version, [ended], now)


def _keep_few(conn: Connection, account_id: AccountId) -> None:
    theirs = select(func.count()).select_from(shares).where(shares.c.account_id == account_id)
    if (conn.scalar(theirs) or 0) >= rules.OPEN_MAX:
        raise LimitReached(f"{rules.OPEN_MAX} links to dashboards work; revoke those no longer needed")


def _values(stored: Mapping[str, str | list[str]]) -> dict[str, Value]:
    """JSON knows no tuples."""
    return {name: as_value(value) for name, value in stored.items()}
