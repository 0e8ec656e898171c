"""Routes: where an account's notices go, asked in order; each change an event."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, select

from domain import deliveries
from domain.errors import InvalidBody, LimitReached, NotFound
from domain.events import NewEvent
from domain.ids import AccountId
from domain.query import is_label
from domain.silences import matchers
from schema import channels, events
from schema.control.engine import reading
from schema.control.tables import routes

MOST = 50
WAIT_MOST_S = 3_600
REPEAT_LEAST_S, REPEAT_MOST_S = 300, 7 * 86_400
LABELS_MAX = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """What somebody wants a route to be."""

    match: Sequence[str]
    channel_ids: Sequence[UUID]
    group_by: Sequence[str] = ("condition",)
    group_wait_s: int = 10
    repeat_s: int = 14_400
    continues: bool = False


@dataclass(frozen=True, slots=True)
class RouteRow:
    """One route as it is now; positions count from 1, without gaps. `repeat_s` 0 repeats nothing."""

    id: UUID
    account_id: AccountId
    position: int
    match: Sequence[str]
    channel_ids: Sequence[UUID]
    group_by: Sequence[str]
    group_wait_s: int
    repeat_s: int
    continues: bool
    version: int

    @property
    def stream(self) -> str:
        return f"route/{self.id}"

    @property
    def draft(self) -> Draft:
        """What its form shows."""
        waits = (self.group_wait_s, self.repeat_s, self.continues)
        return Draft(self.match, self.channel_ids, self.group_by, *waits)

    @property
    def routed(self) -> deliveries.Route:
        """As routing sees it."""
        waits = (self.group_wait_s, self.repeat_s, self.continues)
        return deliveries.Route(self.id, tuple(self.match), tuple(self.channel_ids), tuple(self.group_by), *waits)


def create(engine: Engine, account_id: AccountId, draft: Draft, now: datetime, *, actor: str) -> RouteRow:
    """A new one, asked last. Raises InvalidBody, InvalidQuery, NotFound, LimitReached."""
    route_id = uuid4()

    def work(conn: Connection) -> RouteRow:
        events.hold(conn)
        _check(conn, account_id, draft)
        position = len(list_in(conn, account_id)) + 1
        if position > MOST:
            raise LimitReached(f"The account has {MOST} routes; delete one that is no longer used")
        payload = {"account_id": str(account_id), **_payload(draft, position)}
        events.append(conn, f"route/{route_id}", 0, [NewEvent("route_created", payload, actor)], now)
        return _one(conn, account_id, route_id)

    return events.retrying(engine, work)


def change(
    engine: Engine, account_id: AccountId, route_id: UUID, draft: Draft, now: datetime, *, actor: str
) -> RouteRow:
    """Another rule at the same place. Raises InvalidBody, InvalidQuery, NotFound."""

    def work(conn: Connection) -> RouteRow:
        events.hold(conn)
        found = _one(conn, account_id, route_id)
        _check(conn, account_id, draft)
        _change(conn, found, _payload(draft, found.position), now, actor)
        return _one(conn, account_id, route_id)

    return events.retrying(engine, work)


def move(engine: Engine, account_id: AccountId, route_id: UUID, by: int, now: datetime, *, actor: str) -> None:
    """Change places with the one before (-1) or after (1); at the end it stays. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = _one(conn, account_id, route_id)
        other = next((row for row in list_in(conn, account_id) if row.position == found.position + by), None)
        if other is not None:
            _place(conn, found, other.position, now, actor)
            _place(conn, other, found.position, now, actor)

    events.retrying(engine, work)


def remove(engine: Engine, account_id: AccountId, route_id: UUID, now: datetime, *, actor: str) -> None:
    """Delete one; those after it move up. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = _one(conn, account_id, route_id)
        deleted = NewEvent("route_deleted", {"position": found.position}, actor)
        events.append(conn, found.stream, found.version, [deleted], now)
        for row in list_in(conn, account_id):
            if row.position > found.position:
                _place(conn, row, row.position - 1, now, actor)

    events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, route_id: UUID) -> RouteRow:
    """The account's route with this id. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, route_id)


def list_for(engine: Engine, account_id: AccountId) -> list[RouteRow]:
    """All of an account, in the order in which they are asked."""
    with reading(engine) as conn:
        return list_in(conn, account_id)


def list_in(conn: Connection, account_id: AccountId) -> list[RouteRow]:
    """As `list_for`, within the caller's transaction."""
    query = select(routes).where(routes.c.account_id == account_id).order_by(routes.c.position, routes.c.id)
    return [_row(row) for row in conn.execute(query).mappings()]


def _check(conn: Connection, account_id: AccountId, draft: Draft) -> None:
    assert matchers(tuple(draft.match)) is not None
    if not draft.channel_ids:
        raise InvalidBody("Choose at least one channel")
    for channel_id in draft.channel_ids:
        channels.one(conn, account_id, channel_id)
    if len(draft.group_by) > LABELS_MAX or not all(is_label(label) for label in draft.group_by):
        raise InvalidBody(f"Group by at most {LABELS_MAX} labels, such as condition, node, severity")
    if not 0 <= draft.group_wait_s <= WAIT_MOST_S:
        raise InvalidBody("A group may wait for others for an hour at most")
    if draft.repeat_s and not REPEAT_LEAST_S <= draft.repeat_s <= REPEAT_MOST_S:
        raise InvalidBody("What goes on firing is told again after 5 minutes at the earliest, a week at the latest")


def _change(conn: Connection, found: RouteRow, payload: dict[str, Any], now: datetime, actor: str) -> None:
    if payload != _payload(found.draft, found.position):
        events.append(conn, found.stream, found.version, [NewEvent("route_changed", payload, actor)], now)


def _place(conn: Connection, found: RouteRow, position: int, now: datetime, actor: str) -> None:
    _change(conn, found, _payload(found.draft, position), now, actor)


def _payload(draft: Draft, position: int) -> dict[str, Any]:
    return {
        "position": position,
        "match": list(draft.match),
        "channel_ids": [str(channel_id) for channel_id in draft.channel_ids],
        "group_by": list(draft.group_by),
        "group_wait_s": draft.group_wait_s,
        "repeat_s": draft.repeat_s,
        "continues": draft.continues,
    }


def _one(conn: Connection, account_id: AccountId, route_id: UUID) -> RouteRow:
    theirs = (routes.c.account_id == account_id) & (routes.c.id == route_id)
    found = conn.execute(select(routes).where(theirs)).mappings().one_or_none()
    if found is None:
        raise NotFound("There is no such route in this account")
    return _row(found)


def _row(row: Any) -> RouteRow:
    return RouteRow(**{**row, "channel_ids": [UUID(text) for text in row["channel_ids"]]})
