"""Recordings: live data that is kept. Each is an event; while one runs, Redis says so to whoever takes live data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import redis
import redis.asyncio
from sqlalchemy import Connection, Engine, select

from domain.errors import InvalidBody, NotFound
from domain.events import SYSTEM, NewEvent
from domain.ids import AccountId
from domain.live import Wish
from schema import events, keys, live
from schema.control.engine import reading
from schema.control.tables import recordings
from schema.dashboards import names_of
from schema.lua import redis_faults

LONGEST = timedelta(minutes=15)
NOTE_MAX = 100
LISTED = 50
"""At most of one node, or of the account."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording; its data are the node's samples of [started_at, ends_at) as they came live."""

    id: UUID
    account_id: AccountId
    node: str
    metrics: Sequence[str]
    every_ms: int
    note: str
    started_by: str
    started_at: datetime
    ends_at: datetime
    version: int


def start(
    engine: Engine, account_id: AccountId, wish: Wish, lasts: timedelta, note: str, now: datetime, *, actor: str
) -> Recording:
    """Record that live data is to be kept from now on. Raises InvalidBody."""
    if not timedelta(seconds=1) <= lasts <= LONGEST:
        raise InvalidBody(f"A recording lasts 1 s to {LONGEST // timedelta(minutes=1)} minutes")
    return events.retrying(engine, lambda conn: start_in(conn, account_id, wish, lasts, note, now, actor=actor))


def start_in(
    conn: Connection,
    account_id: AccountId,
    wish: Wish,
    lasts: timedelta,
    note: str,
    now: datetime,
    *,
    actor: str = SYSTEM,
) -> Recording:
    """As `start`, within the caller's transaction."""
    recording_id = uuid4()
    payload = {
        "account_id": str(account_id),
        "node": wish.node,
        "metrics": list(wish.metrics),
        "every_ms": wish.every_ms,
        "note": _clean(note),
        "ends_at": (now + lasts).isoformat(),
    }
    events.append(conn, f"recording/{recording_id}", 0, [NewEvent("recording_started", payload, actor)], now)
    return _one(conn, account_id, recording_id)


def running(conn: Connection, account_id: AccountId, now: datetime) -> set[str]:
    """The nodes whose live data is being kept."""
    query = select(recordings.c.node).where(recordings.c.account_id == account_id, recordings.c.ends_at > now)
    return set(conn.scalars(query))


def stop(engine: Engine, account_id: AccountId, recording_id: UUID, now: datetime, *, actor: str) -> Recording:
    """End a recording before its time; one that has ended stays as it is. Raises NotFound."""

    def work(conn: Connection) -> Recording:
        events.hold(conn)
        found = _one(conn, account_id, recording_id)
        if found.ends_at <= now:
            return found
        stopped = NewEvent("recording_stopped", {}, actor)
        events.append(conn, f"recording/{recording_id}", found.version, [stopped], now)
        return _one(conn, account_id, recording_id)

    return events.retrying(engine, work)


def rename(
    engine: Engine, account_id: AccountId, recording_id: UUID, note: str, now: datetime, *, actor: str
) -> Recording:
    """Call it something else; the same name changes nothing. Raises NotFound."""
    called = _clean(note)

    def work(conn: Connection) -> Recording:
        events.hold(conn)
        found = _one(conn, account_id, recording_id)
        if found.note == called:
            return found
        renamed = NewEvent("recording_renamed", {"note": called}, actor)
        events.append(conn, f"recording/{recording_id}", found.version, [renamed], now)
        return _one(conn, account_id, recording_id)

    return events.retrying(engine, work)


def delete(engine: Engine, account_id: AccountId, recording_id: UUID, now: datetime, *, actor: str) -> Recording:
    """Take it off the list and end its link; what was kept are samples, and stays as long as they do.

    Returns what it was. Raises NotFound.
    """

    def work(conn: Connection) -> Recording:
        events.hold(conn)
        found = _one(conn, account_id, recording_id)
        deleted = NewEvent("recording_deleted", {}, actor)
        events.append(conn, f"recording/{recording_id}", found.version, [deleted], now)
        return found

    return events.retrying(engine, work)


def find(engine: Engine, account_id: AccountId, recording_id: UUID) -> Recording:
    """The account's recording with this id. Raises NotFound."""
    with reading(engine) as conn:
        return _one(conn, account_id, recording_id)


def list_for(engine: Engine, account_id: AccountId, node: str = "") -> Sequence[Recording]:
    """A node's recordings, or those of all nodes, the newest first, a bounded number."""
    theirs = recordings.c.account_id == account_id
    if node:
        theirs &= recordings.c.node == node
    newest = recordings.c.started_at.desc()
    with reading(engine) as conn:
        found = conn.execute(select(recordings).where(theirs).order_by(newest, recordings.c.id).limit(LISTED))
        return [_recording(row) for row in found.mappings()]


def list_running(engine: Engine, now: datetime) -> Sequence[Recording]:
    """Every account's recordings that have not come to their end."""
    with reading(engine) as conn:
        found = conn.execute(select(recordings).where(recordings.c.ends_at > now).order_by(recordings.c.started_at))
        return [_recording(row) for row in found.mappings()]


def called_by(engine: Engine, found: Sequence[Recording]) -> Mapping[str, str]:
    """What to call who began them, by `started_by`."""
    with reading(engine) as conn:
        return names_of(conn, [one.started_by for one in found])


async def keep(client: redis.asyncio.Redis, found: Recording, now: datetime) -> None:
    """Let live data be kept until the recording's end, and its agent be asked for it, whoever looks meanwhile.

    Raises Overloaded when too many look at this node, StoreUnavailable.
    """
    lasts_ms = int((found.ends_at - now) / timedelta(milliseconds=1))
    if lasts_ms <= 0:
        return
    wish = Wish(found.node, tuple(found.metrics), found.every_ms)
    await live.look(client, found.account_id, _viewer(found), wish, _ms(now), lasts_ms)
    with redis_faults():
        await client.set(keys.recording(found.account_id, found.node), str(found.id), px=lasts_ms)


async def let_go(client: redis.asyncio.Redis, found: Recording, now: datetime) -> None:
    """Keep nothing more for this recording. Raises StoreUnavailable."""
    wish = Wish(found.node, tuple(found.metrics), found.every_ms)
    await live.leave(client, found.account_id, _viewer(found), wish, _ms(now))
    key = keys.recording(found.account_id, found.node)
    with redis_faults():
        if await client.get(key) == str(found.id).encode():
            await client.delete(key)


def keep_on(client: redis.Redis, found: Recording, now: datetime) -> bool:
    """What `keep` has put into Redis, once more where Redis has lost it; whether it had. Raises StoreUnavailable."""
    lasts_ms = int((found.ends_at - now) / timedelta(milliseconds=1))
    key, value = keys.recording(found.account_id, found.node), str(found.id)
    if lasts_ms <= 0:
        return False
    with redis_faults():
        lease_there = client.hexists(keys.live_viewers(found.account_id, found.node), _viewer(found))
        was_lost = bool(client.set(key, value, px=lasts_ms, nx=True))
    if not lease_there:
        wish = Wish(found.node, tuple(found.metrics), found.every_ms)
        live.look_sync(client, found.account_id, _viewer(found), wish, _ms(now), lasts_ms)
    return was_lost or not lease_there


def _clean(note: str) -> str:
    return " ".join(note.split())[:NOTE_MAX]


def _viewer(found: Recording) -> str:
    return f"recording:{found.id}"


def _one(conn: Connection, account_id: AccountId, recording_id: UUID) -> Recording:
    theirs = (recordings.c.account_id == account_id) & (recordings.c.id == recording_id)
    found = conn.execute(select(recordings).where(theirs)).mappings().one_or_none()
    if found is None:
        raise NotFound("There is no such recording in this account")
    return _recording(found)


def _recording(row: Any) -> Recording:
    return Recording(**row)


def _ms(now: datetime) -> int:
    return int(now.timestamp() * 1000)
