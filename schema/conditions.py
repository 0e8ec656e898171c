"""Status conditions: what people ask to be judged, each change an event."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from sqlalchemy import Connection, Engine, func, select

from domain.condition_specs import Condition, ReportedRule, Spec, as_json, clean_name, spec_of
from domain.errors import LimitReached, NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId
from schema import events, statuses, watermarks
from schema.control.engine import reading
from schema.control.tables import conditions

CONDITIONS_MAX = 10_000
"""Of an account; what is reported makes some by itself."""
AT_ONCE = 500
REMEMBERED_MAX = 100_000
DELETED, PAUSED, CHANGED = "the condition was deleted", "the condition was paused", "the condition was changed"


def create(
    engine: Engine, account_id: AccountId, name: str, spec: Spec, now: datetime, *, actor: str = SYSTEM
) -> Condition:
    """A new condition, judged from now on. Raises InvalidBody, LimitReached."""
    name = clean_name(name)
    return events.retrying(engine, lambda conn: _create(conn, account_id, uuid4(), name, spec, now, actor))


def change(
    engine: Engine, account_id: AccountId, condition_id: UUID, name: str, spec: Spec, now: datetime, *, actor: str
) -> Condition:
    """Another name or spec. Where the rule changed, what it said until now ends. Raises InvalidBody, NotFound."""
    name = clean_name(name)

    def work(conn: Connection) -> Condition:
        events.hold(conn)
        found = _one(conn, account_id, condition_id)
        if (found.name, found.spec) == (name, spec):
            return found
        if found.spec.rule != spec.rule:
            statuses.end_all(conn, found, CHANGED, now, actor=actor)
        changed = NewEvent("condition_changed", {"name": name, "spec": as_json(spec)}, actor)
        version = events.append(conn, found.stream, found.version, [changed], now)
        if found.spec.rule != spec.rule:
            watermarks.end(conn, condition_id)
            if found.is_enabled:
                watermarks.begin(conn, account_id, condition_id, spec.every_s, now)
        return replace(found, name=name, spec=spec, version=version)

    return events.retrying(engine, work)


def switch(
    engine: Engine, account_id: AccountId, condition_id: UUID, is_enabled: bool, now: datetime, *, actor: str
) -> Condition:
    """Pause it, which ends what it said, or judge it again from now on. Raises NotFound."""

    def work(conn: Connection) -> Condition:
        events.hold(conn)
        found = _one(conn, account_id, condition_id)
        if found.is_enabled == is_enabled:
            return found
        if is_enabled:
            watermarks.begin(conn, account_id, condition_id, found.spec.every_s, now)
        else:
            statuses.end_all(conn, found, PAUSED, now, actor=actor)
            watermarks.end(conn, condition_id)
        switched = NewEvent("condition_switched", {"name": found.name, "is_enabled": is_enabled}, actor)
        version = events.append(conn, found.stream, found.version, [switched], now)
        return replace(found, is_enabled=is_enabled, version=version)

    return events.retrying(engine, work)


def remove(engine: Engine, account_id: AccountId, condition_id: UUID, now: datetime, *, actor: str) -> None:
    """Delete it, and end what it said. Raises NotFound."""

    def work(conn: Connection) -> None:
        events.hold(conn)
        found = _one(conn, account_id, condition_id)
        statuses.end_all(conn, found, DELETED, now, actor=actor)
        events.append(
            conn, found.stream, found.version, [NewEvent("condition_deleted", {"name": found.name}, actor)], now
        )

    events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, condition_id: UUID) -> Condition:
    """The account's condition with this id. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, condition_id)


def list_for(engine: Engine, account_id: AccountId) -> list[Condition]:
    """All of an account, by name."""
    query = select(conditions).where(conditions.c.account_id == account_id)
    with reading(engine) as conn:
        found = [to_condition(row) for row in conn.execute(query).mappings()]
    return sorted(found, key=lambda one: (one.name.lower(), str(one.id)))


def reported(conn: Connection, account_id: AccountId, spec: Spec, now: datetime, *, at_most: int) -> Condition:
    """The condition of a status that is reported under this name, made the first time. Raises LimitReached."""
    assert isinstance(spec.rule, ReportedRule)
    condition_id = reported_id(account_id, spec.rule.status)
    found = conn.execute(select(conditions).where(conditions.c.id == condition_id)).mappings().one_or_none()
    if found:
        return to_condition(found)
    theirs = (conditions.c.account_id == account_id) & (conditions.c.kind == spec.kind)
    if (conn.scalar(select(func.count()).select_from(conditions).where(theirs)) or 0) >= at_most:
        raise LimitReached(f"Statuses of {at_most} names are reported already; more are not taken")
    return _create(conn, account_id, condition_id, spec.rule.status, spec, now, SYSTEM)


def reported_id(account_id: AccountId, name: str) -> UUID:
    """The id of the condition that what is reported under a name belongs to."""
    return uuid5(account_id, f"reported/{name}")


class Remembered:
    """Conditions as this process has read them: one that was not changed since need not be read again."""

    def __init__(self) -> None:
        self._known: dict[UUID, Condition] = {}

    def get(self, engine: Engine, account_id: AccountId, ids: Collection[UUID]) -> dict[UUID, Condition]:
        """An account's conditions with these ids, as far as they are there and on."""
        theirs = (conditions.c.account_id == account_id) & conditions.c.is_enabled
        with reading(engine) as conn:
            versions = select(conditions.c.id, conditions.c.version).where(theirs)
            current = {row.id: row.version for row in conn.execute(versions) if row.id in ids}
            news = [one for one, version in current.items() if self._version(one) != version]
            for start in range(0, len(news), AT_ONCE):
                some = conditions.c.id.in_(news[start : start + AT_ONCE])
                for row in conn.execute(select(conditions).where(some)).mappings():
                    self._known[row["id"]] = to_condition(row)
        if len(self._known) > REMEMBERED_MAX:
            self._known = {one: self._known[one] for one in current}
        return {one: self._known[one] for one in current}

    def _version(self, condition_id: UUID) -> int:
        known = self._known.get(condition_id)
        return known.version if known else 0


def to_condition(row: Any) -> Condition:
    """From a row of the table."""
    names = ("id", "account_id", "name", "is_enabled", "created_at", "version")
    return Condition(spec=spec_of(row["spec"]), **{name: row[name] for name in names})


def _create(
    conn: Connection, account_id: AccountId, condition_id: UUID, name: str, spec: Spec, now: datetime, actor: str
) -> Condition:
    events.hold(conn)
    theirs = select(func.count()).select_from(conditions).where(conditions.c.account_id == account_id)
    if (conn.scalar(theirs) or 0) >= CONDITIONS_MAX:
        raise LimitReached(f"The account has {CONDITIONS_MAX} conditions; delete some that are no longer used")
    payload = {"account_id": str(account_id), "name": name, "kind": spec.kind, "spec": as_json(spec)}
    stream = f"condition/{condition_id}"
    version = events.append(
        conn, stream, events.version_of(conn, stream), [NewEvent("condition_created", payload, actor)], now
    )
    watermarks.begin(conn, account_id, condition_id, spec.every_s, now)
    return Condition(condition_id, account_id, name, spec, True, now, version)


def _one(conn: Connection, account_id: AccountId, condition_id: UUID) -> Condition:
    theirs = (conditions.c.account_id == account_id) & (conditions.c.id == condition_id)
    found = conn.execute(select(conditions).where(theirs)).mappings().one_or_none()
    if found is None:
        raise NotFound("There is no such condition in this account")
    return to_condition(found)
