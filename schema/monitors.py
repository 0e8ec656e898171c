"""Monitors: each a stream of versions, of where they go, and of how far they have come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Connection, Engine, Select, func, select

from domain import monitors as rules
from domain.errors import Conflict, InvalidBody, LimitReached, NotFound, Outdated
from domain.events import NewEvent
from domain.ids import AccountId
from domain.monitors import MONITORS_MAX, Spec, Target, as_json
from domain.rollouts import MOVING, Move, Rollout, Stage
from schema import events
from schema.control.engine import reading
from schema.control.tables import api_keys, monitors
from schema.control.tables import events as log
from schema.dashboards import names_of

VERSIONS_LISTED = 100
REASON_MAX_CHARS = 500


@dataclass(frozen=True, slots=True)
class Monitor:
    """One monitor as it is now.

    head     its newest version, which is `spec`
    good     the last version that came to all its nodes, 0 for none; `good_spec` is None then
    pushed   the version on its way, or that came last; 0 and None alike
    version  of its stream, for whoever changes it
    """

    id: UUID
    account_id: AccountId
    name: str
    target: Target
    head: int
    spec: Spec
    good: int
    good_spec: Spec | None
    pushed: int
    pushed_spec: Spec | None
    stage: Stage
    stage_since: datetime
    canaries: tuple[str, ...]
    reason: str
    is_paused: bool
    created_by: str
    created_at: datetime
    saved_by: str
    saved_at: datetime
    version: int

    @property
    def rollout(self) -> Rollout:
        return Rollout(str(self.id), self.good, self.pushed, self.stage, self.canaries, self.stage_since)

    @property
    def is_moving(self) -> bool:
        return self.stage in MOVING and not self.is_paused

    def spec_of(self, number: int) -> Spec | None:
        """One of the versions that nodes may be running."""
        known = {self.good: self.good_spec, self.pushed: self.pushed_spec}
        return known.get(number) if number else None


@dataclass(frozen=True, slots=True)
class Version:
    """One version: who wrote it, when, why; `saved_by` is what to call them."""

    number: int
    spec: Spec
    note: str
    saved_by: str
    saved_at: datetime


def create(
    engine: Engine,
    account_id: AccountId,
    name: str,
    spec: Spec,
    target: Target,
    now: datetime,
    *,
    actor: str,
    note: str = "",
) -> Monitor:
    """A monitor with its first version, which no node runs yet. Raises InvalidBody, LimitReached."""
    name, note = rules.clean_name(name), rules.clean_note(note)

    def work(conn: Connection) -> Monitor:
        events.hold(conn)
        _keep_few(conn, account_id)
        if conn.scalar(_named(account_id, name).with_only_columns(monitors.c.id)) is not None:
            raise InvalidBody(f"There is a monitor {name} already; names are kept apart, since samples carry them")
        payload = {
            "account_id": str(account_id),
            "name": name,
            "document": as_json(spec),
            "target": as_json(target),
            "note": note,
        }
        monitor_id = uuid4()
        events.append(conn, f"monitor/{monitor_id}", 0, [NewEvent("monitor_created", payload, actor)], now)
        return _one(conn, account_id, name)

    return events.retrying(engine, work)


def save(
    engine: Engine,
    account_id: AccountId,
    name: str,
    spec: Spec,
    now: datetime,
    *,
    actor: str,
    note: str = "",
    expected_head: int | None = None,
) -> Monitor:
    """The next version; one that equals the newest is none, and changes nothing.

    expected_head  the version that was looked at; Outdated when somebody wrote another since. Raises NotFound.
    """
    note = rules.clean_note(note)

    def work(conn: Connection) -> Monitor:
        last = _held(conn, account_id, name)
        if expected_head not in (None, last.head):
            raise _outdated(conn, last)
        if last.spec == spec:
            return last
        payload = {"name": name, "number": last.head + 1, "document": as_json(spec), "note": note}
        return _append(conn, last, "monitor_saved", payload, now, actor)

    return events.retrying(engine, work)


def retarget(engine: Engine, account_id: AccountId, name: str, target: Target, now: datetime, *, actor: str) -> Monitor:
    """Other nodes run it from now on; the same target changes nothing. Raises NotFound."""

    def work(conn: Connection) -> Monitor:
        last = _held(conn, account_id, name)
        if last.target == target:
            return last
        return _append(conn, last, "monitor_retargeted", {"name": name, "target": as_json(target)}, now, actor)

    return events.retrying(engine, work)


def push(
    engine: Engine, account_id: AccountId, name: str, now: datetime, *, actor: str, number: int | None = None
) -> Monitor:
    """Begin to roll a version out, the newest unless `number` names one. Raises NotFound, InvalidBody."""

    def work(conn: Connection) -> Monitor:
        last = _held(conn, account_id, name)
        version = last.head if number is None else number
        if last.pushed == version and last.stage != Stage.HALTED:
            return last
        payload = {"name": name, "number": version, "document": as_json(_version(conn, last, version))}
        return _append(conn, last, "monitor_pushed", payload, now, actor)

    return events.retrying(engine, work)


def move(engine: Engine, monitor: Monitor, move_to: Move, now: datetime) -> Monitor | None:
    """Record what `domain.rollouts.decide` has decided on; None when the monitor was changed since it was read."""
    told: dict[str, Any] = {"name": monitor.name, "number": monitor.pushed}
    match move_to.stage:
        case Stage.HALTED:
            kind, about = "monitor_halted", {"reason": move_to.reason[:REASON_MAX_CHARS], "back_to": monitor.good}
        case Stage.DONE:
            kind, about = "monitor_rolled_out", {}
        case _:
            kind = "monitor_staged"
            about = {"stage": move_to.stage.value, "canaries": list(move_to.canaries)}
    try:
        with engine.begin() as conn:
            return _append(conn, monitor, kind, {**told, **about}, now, "system")
    except Conflict:
        return None


def switch(engine: Engine, account_id: AccountId, name: str, now: datetime, *, is_paused: bool, actor: str) -> Monitor:
    """Have no node run it, or have them run it again. Raises NotFound."""

    def work(conn: Connection) -> Monitor:
        last = _held(conn, account_id, name)
        if last.is_paused == is_paused:
            return last
        kind = "monitor_paused" if is_paused else "monitor_resumed"
        return _append(conn, last, kind, {"name": name}, now, actor)

    return events.retrying(engine, work)


def remove(engine: Engine, account_id: AccountId, name: str, now: datetime, *, actor: str) -> Monitor:
    """End a monitor; its samples stay. Returns what it was. Raises NotFound."""

    def work(conn: Connection) -> Monitor:
        last = _held(conn, account_id, name)
        removed = NewEvent("monitor_removed", {"name": name}, actor)
        events.append(conn, f"monitor/{last.id}", last.version, [removed], now)
        return last

    return events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, name: str) -> Monitor:
    """The account's monitor of this name. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, name)


def list_for(engine: Engine, account_id: AccountId) -> Sequence[Monitor]:
    """All monitors of an account, by name."""
    with reading(engine) as conn:
        query = select(monitors).where(monitors.c.account_id == account_id).order_by(monitors.c.name)
        return [_to_monitor(row) for row in conn.execute(query).mappings()]


def list_moving(engine: Engine) -> Sequence[Monitor]:
    """Every account's monitors whose newest push has not come to its end."""
    moving = monitors.c.stage.in_([stage.value for stage in MOVING]) & monitors.c.is_paused.is_(False)
    with reading(engine) as conn:
        found = conn.execute(select(monitors).where(moving).order_by(monitors.c.stage_since)).mappings()
        return [_to_monitor(row) for row in found]


def any_moving(engine: Engine) -> bool:
    """Whether there are any such."""
    moving = monitors.c.stage.in_([stage.value for stage in MOVING]) & monitors.c.is_paused.is_(False)
    with reading(engine) as conn:
        return conn.scalar(select(monitors.c.id).where(moving).limit(1)) is not None


def versions(engine: Engine, account_id: AccountId, name: str) -> Sequence[Version]:
    """The latest versions, the newest first. Raises NotFound."""
    with reading(engine) as conn:
        monitor = _one(conn, account_id, name)
        found = conn.execute(_saves(monitor).order_by(log.c.version.desc()).limit(VERSIONS_LISTED)).all()
        names = _names(conn, [row.actor for row in found])
    return [_to_version(row.payload, names[row.actor], row.at) for row in found]


def find_version(engine: Engine, account_id: AccountId, name: str, number: int) -> Spec:
    """What a version was. Raises NotFound."""
    with reading(engine) as conn:
        return _version(conn, _one(conn, account_id, name), number)


def _to_version(payload: Mapping[str, Any], saved_by: str, at: datetime) -> Version:
    return Version(payload.get("number", 1), rules.kept(payload["document"]), payload["note"], saved_by, at)


def _version(conn: Connection, monitor: Monitor, number: int) -> Spec:
    if number == monitor.head:
        return monitor.spec
    for row in conn.execute(_saves(monitor)):
        if row.payload.get("number", 1) == number:
            return rules.kept(row.payload["document"])
    raise NotFound(f"The monitor {monitor.name} has no version {number}")


def _saves(monitor: Monitor) -> Select[Any]:
    return select(log).where(
        log.c.stream == f"monitor/{monitor.id}", log.c.type.in_(("monitor_created", "monitor_saved"))
    )


def _held(conn: Connection, account_id: AccountId, name: str) -> Monitor:
    events.hold(conn)
    return _one(conn, account_id, name)


def _one(conn: Connection, account_id: AccountId, name: str) -> Monitor:
    row = conn.execute(_named(account_id, name)).mappings().one_or_none()
    if row is None:
        raise NotFound(f"There is no monitor {name} in this account; perhaps it was removed")
    return _to_monitor(row)


def _named(account_id: AccountId, name: str) -> Select[Any]:
    return select(monitors).where(monitors.c.account_id == account_id, monitors.c.name == name)


def _to_monitor(row: Mapping[Any, Any]) -> Monitor:
    read = {
        "target": rules.kept_target(row["target"]),
        "stage": Stage(row["stage"]),
        "canaries": tuple(row["canaries"]),
        "spec": rules.kept(row["document"]),
        "good_spec": rules.kept(row["good_document"]) if row["good"] else None,
        "pushed_spec": rules.kept(row["pushed_document"]) if row["pushed"] else None,
    }
    plain = {key: value for key, value in row.items() if not key.endswith("document")}
    return Monitor(**{**plain, **read})


def _append(
    conn: Connection, last: Monitor, kind: str, payload: Mapping[str, Any], now: datetime, actor: str
) -> Monitor:
    events.append(conn, f"monitor/{last.id}", last.version, [NewEvent(kind, payload, actor)], now)
    return _one(conn, last.account_id, last.name)


def _keep_few(conn: Connection, account_id: AccountId) -> None:
    theirs = select(func.count()).select_from(monitors).where(monitors.c.account_id == account_id)
    if (conn.scalar(theirs) or 0) >= MONITORS_MAX:
        raise LimitReached(f"The account has {MONITORS_MAX} monitors; remove one that is no longer used")


def _names(conn: Connection, actors: Sequence[str]) -> dict[str, str]:
    """What to call who wrote a version: a person, or a key by which a program did."""
    ids = {actor: actor.removeprefix("key/") for actor in actors if actor.startswith("key/")}
    found = conn.execute(select(api_keys.c.id, api_keys.c.name).where(api_keys.c.id.in_(set(ids.values()))))
    known = {key.id: f"the key {key.name}" for key in found}
    return {**names_of(conn, actors), **{actor: known.get(key, "a key") for actor, key in ids.items()}}


def _outdated(conn: Connection, last: Monitor) -> Outdated:
    by = _names(conn, [last.saved_by])[last.saved_by]
    return Outdated(
        f"{by} saved version {last.head} of this monitor meanwhile; look at it before you save over it",
        saved_by=by,
        saved_at=last.saved_at.timestamp(),
        version=last.head,
    )
