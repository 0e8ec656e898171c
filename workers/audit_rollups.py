"""Compares yesterday's rollups with the raw samples, account by account, and says what it found.

The job only wakes a thread and ends, for a question may take its time, and conditions are judged every second. A lease
keeps a second worker from doing the same.
"""

import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from domain.ids import AccountId
from schema import accounts, audits, erasures, keys
from schema.audits import Audit, Difference, Progress, TooMuch
from schema.lua import Lua
from workers.stores import Stores

log = structlog.get_logger()
FROM_HOUR: Final = 1
"""UTC. What comes late has mostly come by then; what comes later still reaches every tier alike."""
RAW_LEAST_DAYS: Final = 2
"""Where raw samples are kept no longer, some of yesterday's are gone already: there is nothing to compare with."""
BUDGET_S: Final = 30.0
"""Of one thread; the next goes on."""
LEASE_MS: Final = 180_000
"""Longer than the budget and one question with its second look."""
AGAIN_AFTER_S: Final = 5.0
"""What differs is looked at again: an INSERT fills the tiers one after the other."""


_HOLD, _DROP = Lua("hold_lease"), Lua("drop_lease")


def audit_rollups(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat; raises StoreUnavailable, and is then tried again."""
    token, lease = secrets.token_hex(16), [keys.lease("audit")]
    if not _HOLD.run_sync(stores.redis, lease, [token, LEASE_MS]):
        return

    def work() -> None:
        try:
            audit(stores, now)
        finally:
            _DROP.run_sync(stores.redis, lease, [token])

    if not stores.crew.start(work):
        _DROP.run_sync(stores.redis, lease, [token])


def audit(stores: Stores, now: datetime) -> None:
    """Go on for as long as the budget lasts. Raises StoreUnavailable, DatabaseError."""
    until_s, day_s = time.monotonic() + BUDGET_S, yesterday_s(now)
    progress = audits.progress_of(stores.redis, day_s) or Progress(day_s, now.timestamp())
    waiting = [account.id for account in accounts.list_all(stores.control)]
    left = sorted(account_id for account_id in waiting if str(account_id) > progress.after)
    being_erased = erasures.unfinished(stores.control)
    for account_id in left:
        while not _has_done(stores, account_id, progress, skip=account_id in being_erased):
            audits.keep(stores.redis, progress)
            if time.monotonic() > until_s:
                return
        audits.keep(stores.redis, progress)
        if time.monotonic() > until_s and account_id != left[-1]:
            return
    _record(stores, progress, datetime.now(UTC).timestamp())


def is_due(stores: Stores, now: datetime) -> bool:
    """Whether yesterday is to be compared still. Raises StoreUnavailable."""
    if now.hour < FROM_HOUR or stores.settings.raw_retention_days < RAW_LEAST_DAYS:
        return False
    last = audits.last_sync(stores.redis)
    return last is None or last.day_s != yesterday_s(now)


def yesterday_s(now: datetime) -> int:
    """When yesterday began, UTC, Unix seconds."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int((today - timedelta(days=1)).timestamp())


def _has_done(stores: Stores, account_id: AccountId, progress: Progress, *, skip: bool) -> bool:
    """Compare the next part of an account; True when that was the last."""
    if not skip:
        try:
            hours, samples, differences = audits.compare(stores.clickhouse, account_id, progress)
        except TooMuch:
            if progress.parts >= audits.PARTS_MAX:
                raise
            progress.parts, progress.part = progress.parts * 2, progress.part * 2
            return False
        if differences:
            differences = _lasting(stores, account_id, progress, differences)
        progress.hours, progress.samples = progress.hours + hours, progress.samples + samples
        _note(progress, differences)
        progress.part += 1
        if progress.part < progress.parts:
            return False
        progress.accounts += 1
    progress.after, progress.parts, progress.part = str(account_id), 1, 0
    return True


def _lasting(
    stores: Stores, account_id: AccountId, progress: Progress, before: Sequence[Difference]
) -> list[Difference]:
    """Those that a second look finds as far apart as before."""
    time.sleep(AGAIN_AFTER_S)
    _, _, after = audits.compare(stores.clickhouse, account_id, progress)
    known = {(one.hour_s, one.tier): one.raw - one.rolled for one in before}
    return [one for one in after if known.get((one.hour_s, one.tier)) == one.raw - one.rolled]


def _note(progress: Progress, differences: Sequence[Difference]) -> None:
    progress.differing += len(differences)
    progress.differences += differences[: audits.SHOWN_MAX - len(progress.differences)]
    for one in differences[:10]:
        hour = datetime.fromtimestamp(one.hour_s, UTC).isoformat(timespec="minutes")
        log.error("rollup_differs", account_id=one.account, tier=one.tier, hour=hour, raw=one.raw, rolled=one.rolled)


def _record(stores: Stores, progress: Progress, ended_s: float) -> None:
    took_s = max(0.0, ended_s - progress.began_s)
    told = (progress.accounts, progress.hours, progress.samples, progress.differing)
    audits.record(stores.redis, Audit(progress.day_s, ended_s, took_s, *told, tuple(progress.differences)))
    tell = log.error if progress.differing else log.info
    day = datetime.fromtimestamp(progress.day_s, UTC).date().isoformat()
    tell("rollups_audited", day=day, accounts=told[0], hours=told[1], samples=told[2], differences=told[3])
