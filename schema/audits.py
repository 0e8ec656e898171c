"""The nightly audit: does each rollup of yesterday say what the raw samples say?

Rollups are filled once, by the INSERT of the samples, and never looked at again; so somebody has to. An account's day
is compared hour by hour in the engine: counts, sums, least and largest, of a part of its metrics at a time.
"""

from collections.abc import Iterator
from importlib.resources import files
from typing import Final, TypeVar

import msgspec
import redis
import redis.asyncio

from domain import metering
from domain.ids import AccountId
from domain.metering import Family
from schema import keys
from schema.clickhouse_client import ClickHouse, DatabaseError
from schema.lua import redis_faults

T = TypeVar("T")

DAY_S: Final = 86_400
KEPT_S: Final = 3 * DAY_S
SHOWN_MAX: Final = 100
"""So many differences are kept to be shown; all are counted."""
PARTS_MAX: Final = 4_096
"""Into so many at most are an account's metrics parted, by their hash; queries/audit.sql has the number, too."""
_QUESTION: Final = (files("schema") / "queries" / "audit.sql").read_text("utf-8")
_SETTINGS: Final = {
    "max_execution_time": 20,
    "max_threads": 1,
    "max_memory_usage": 500_000_000,
    "max_bytes_before_external_group_by": 200_000_000,
}
_LAST, _PROGRESS = "last", "progress"


class Difference(msgspec.Struct, frozen=True):
    """An hour of an account in which a tier holds something else than the raw samples: which, and how many samples."""

    account: str
    hour_s: int
    tier: str
    raw: int
    rolled: int


class Progress(msgspec.Struct):
    """How far the audit of a day is.

    after        the last account that is done; "" at first
    parts, part  in how many questions the next account is asked, and which is next
    """

    day_s: int
    began_s: float
    after: str = ""
    parts: int = 1
    part: int = 0
    accounts: int = 0
    hours: int = 0
    samples: int = 0
    differing: int = 0
    differences: list[Difference] = []


class Audit(msgspec.Struct, frozen=True):
    """What came of an audit: `hours` of accounts, a part of the metrics each, were compared; `differing` differ."""

    day_s: int
    ended_s: float
    took_s: float
    accounts: int
    hours: int
    samples: int
    differing: int
    differences: tuple[Difference, ...] = ()


class TooMuch(Exception):
    """A question that took too long or too much memory: ask for a smaller part."""


def compare(clickhouse: ClickHouse, account_id: AccountId, progress: Progress) -> tuple[int, int, list[Difference]]:
    """Hours and samples of the part that is next, and what differs.

    Raises TooMuch, StoreUnavailable, DatabaseError.
    """
    parameters = {
        "account": str(account_id),
        "from_s": progress.day_s,
        "to_s": progress.day_s + DAY_S,
        "width": PARTS_MAX // progress.parts,
        "part": progress.part,
    }
    try:
        ((hours, samples, found),) = clickhouse.query(_QUESTION, parameters, settings=_SETTINGS).result_rows
    except DatabaseError as error:
        if any(code in str(error) for code in ("TIMEOUT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED")):
            raise TooMuch from error
        raise
    differences = []
    for hour_s, raw, minutes, rolled_hours, minute_differs, hour_differs in found:
        if minute_differs:
            differences.append(Difference(str(account_id), int(hour_s), "1m", int(raw), int(minutes)))
        if hour_differs:
            differences.append(Difference(str(account_id), int(hour_s), "1h", int(raw), int(rolled_hours)))
    return int(hours), int(samples), differences


def progress_of(client: redis.Redis, day_s: int) -> Progress | None:
    """How far the audit of this day is; None when it was not begun. Raises StoreUnavailable."""
    with redis_faults():
        kept = client.hget(keys.AUDIT, _PROGRESS)
    found = _decoded(kept, Progress)
    return found if found and found.day_s == day_s else None


def keep(client: redis.Redis, progress: Progress) -> None:
    """Keep how far it is. Raises StoreUnavailable."""
    with redis_faults():
        client.hset(keys.AUDIT, _PROGRESS, msgspec.msgpack.encode(progress))
        client.expire(keys.AUDIT, KEPT_S)


def record(client: redis.Redis, audit: Audit) -> None:
    """Keep what came of it. Raises StoreUnavailable."""
    with redis_faults():
        client.hset(keys.AUDIT, _LAST, msgspec.msgpack.encode(audit))
        client.hdel(keys.AUDIT, _PROGRESS)
        client.expire(keys.AUDIT, KEPT_S)


def last_sync(client: redis.Redis) -> Audit | None:
    """What came of the last one; None when there was none of late. Raises StoreUnavailable."""
    with redis_faults():
        return _decoded(client.hget(keys.AUDIT, _LAST), Audit)


async def last(client: redis.asyncio.Redis) -> Audit | None:
    """The same in an API process."""
    with redis_faults():
        return _decoded(await client.hget(keys.AUDIT, _LAST), Audit)


def families(audit: Audit, now_s: float) -> Iterator[Family]:
    """As figures."""
    says = "Hours of accounts in which a rollup of the day before is not what the raw samples say"
    yield metering.gauge("metrist_audit_differences", says, audit.differing)
    yield metering.gauge("metrist_audit_samples", "Samples that the last audit has compared", audit.samples)
    yield metering.gauge("metrist_audit_age_seconds", "Since the last audit ended", max(0.0, now_s - audit.ended_s))


def _decoded(kept: object, shape: type[T]) -> T | None:
    """None for nothing, and for what another release wrote."""
    if not isinstance(kept, bytes):
        return None
    try:
        return msgspec.msgpack.decode(kept, type=shape)
    except msgspec.MsgspecError:
        return None
