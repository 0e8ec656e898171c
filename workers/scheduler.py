"""The clock: wakes the sweep and asks for upkeep. Owns no truth, so a second one idles and a dead one is replaced."""

import logging
import random
import secrets
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import MetristError
from domain.settings import Settings
from schema import keys, watermarks
from schema.lua import Lua
from schema.own_figures import KEEP_EVERY_S
from workers import audit_rollups, copy_events, deliver, erase, figures, roll_out, wall_clock
from workers.keep_recordings import keep_recordings
from workers.queues import enqueue
from workers.stores import Stores, open_stores
from workers.sweep import reconcile, sweep_liveness

log = structlog.get_logger()
SWEEP_EVERY_S = 2
RECONCILE_EVERY_S = 60
EVALUATE_EVERY_S = 1
DELIVER_EVERY_S = 1
ADOPT_EVERY_S = 60
ERASE_EVERY_S = 5
COPY_EVERY_S = 10
ROLL_OUT_EVERY_S = 2
KEEP_RECORDINGS_EVERY_S = 3
PRUNE_EVERY_S = 3_600
AUDIT_EVERY_S = 20
LEASE_MS = 10_000
_LONGEST_BACKOFF_S = 30.0
_HOLD, _DROP = Lua("hold_lease"), Lua("drop_lease")

Work = Callable[[Stores, datetime], object]


class Clock:
    """Runs its work only while it holds the lease, and after a store failed not before a pause."""

    def __init__(self, stores: Stores, turned: Callable[[], None] = lambda: None) -> None:
        self._stores = stores
        self._turned = turned
        self._token = secrets.token_hex(16)
        self._holding = threading.Lock()
        self._is_closed = False
        self._is_leading = False
        self._failures = 0
        self._resume_at_s = 0.0

    def tick(self, name: str, work: Work) -> None:
        """Do it now, if it is ours to do; a store that is away is no reason to end."""
        self._turned()
        if time.monotonic() < self._resume_at_s:
            return
        try:
            if self._leads():
                self._do(name, work)
            self._failures = 0
        except (MetristError, RedisError, SQLAlchemyError, OSError) as error:
            self._back_off()
            log.warning(f"{name}_failed", error=type(error).__name__, detail=str(error)[:200], failures=self._failures)

    def close(self) -> None:
        """Let a successor take over at once; what still waits for its turn is not done any more."""
        try:
            with self._holding:
                self._is_closed = True
                _DROP.run_sync(self._stores.redis, [keys.lease("scheduler")], [self._token])
        except MetristError as error:
            log.debug("lease_not_dropped", error=error.detail)

    def _leads(self) -> bool:
        """Show the sign of life, take or keep the lease."""
        client = self._stores.redis
        with self._holding:
            if self._is_closed:
                return False
            client.set(keys.process_alive("scheduler"), int(time.time() * 1000), ex=keys.ALIVE_S)
            leads = bool(_HOLD.run_sync(client, [keys.lease("scheduler")], [self._token, LEASE_MS]))
        if leads != self._is_leading:
            self._is_leading = leads
            log.info("scheduler_leads" if leads else "scheduler_idles")
        return leads

    def _do(self, name: str, work: Work) -> None:
        began, has_failed = time.perf_counter(), True
        try:
            work(self._stores, datetime.now(UTC))
            has_failed = False
        finally:
            self._stores.tally.ended(name, time.perf_counter() - began, has_failed=has_failed)

    def _back_off(self) -> None:
        self._failures += 1
        pause_s = min(_LONGEST_BACKOFF_S, 2.0 ** min(self._failures, 8))
        self._resume_at_s = time.monotonic() + pause_s * random.uniform(0.5, 1)  # noqa: S311


def main(settings: Settings, turned: Callable[[], None] = lambda: None) -> None:
    """Run until SIGTERM or SIGINT; `turned` is called before each piece of work, every second at least."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    stores = open_stores(settings)
    clock = Clock(stores, turned)
    scheduler = _scheduler(clock)
    scheduler.start()
    log.info("scheduler_started")
    wall_clock.mind(scheduler, stopping)
    scheduler.shutdown(wait=False)
    clock.close()
    stores.close()
    log.info("scheduler_stopped")


def _scheduler(clock: Clock) -> BackgroundScheduler:
    """One thread: the sweep and the reconciliation take turns. A tick that is late is made up for once."""
    scheduler = BackgroundScheduler(
        timezone=UTC,
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    now = datetime.now(UTC)
    soon = now + timedelta(seconds=1)

    def every(seconds: int, name: str, work: Work, first: datetime) -> None:
        scheduler.add_job(clock.tick, "interval", args=[name, work], seconds=seconds, next_run_time=first)

    every(SWEEP_EVERY_S, "sweep", _sweep, now)
    every(RECONCILE_EVERY_S, "reconcile", _reconcile, soon)
    every(EVALUATE_EVERY_S, "evaluate", _ask_for_evaluation, soon)
    every(ADOPT_EVERY_S, "adopt", _adopt, soon)
    every(DELIVER_EVERY_S, "deliver", _ask_for_deliveries, soon)
    every(ERASE_EVERY_S, "erase", _ask_for_erasing, soon)
    every(COPY_EVERY_S, "copy_events", _ask_for_copies, soon)
    every(ROLL_OUT_EVERY_S, "roll_out", _ask_for_roll_out, soon)
    every(KEEP_RECORDINGS_EVERY_S, "keep_recordings", keep_recordings, soon)
    every(PRUNE_EVERY_S, "prune", _ask_for_prune, soon)
    every(AUDIT_EVERY_S, "audit_rollups", _ask_for_audit, soon)
    every(int(KEEP_EVERY_S), "figures", _keep_figures, soon)
    return scheduler


def _sweep(stores: Stores, now: datetime) -> None:
    sweep_liveness(stores.control, stores.redis, stores.settings, now)


def _reconcile(stores: Stores, now: datetime) -> None:
    reconcile(stores.control, stores.redis, stores.settings, now)


def _ask_for_evaluation(stores: Stores, now: datetime) -> None:
    for account_id in watermarks.accounts_due(stores.control, now):
        enqueue(stores.redis, keys.EVALUATE, "evaluate", str(account_id))


def _adopt(stores: Stores, now: datetime) -> None:
    watermarks.adopt(stores.control, now)


def _ask_for_deliveries(stores: Stores, now: datetime) -> None:
    if deliver.is_due(stores, now):
        enqueue(stores.redis, keys.DELIVER, "deliver")


def _ask_for_erasing(stores: Stores, now: datetime) -> None:
    if erase.is_due(stores, now):
        enqueue(stores.redis, keys.UPKEEP, "erase")


def _ask_for_copies(stores: Stores, _now: datetime) -> None:
    if copy_events.is_due(stores):
        enqueue(stores.redis, keys.UPKEEP, "copy_events")


def _ask_for_roll_out(stores: Stores, _now: datetime) -> None:
    if roll_out.is_due(stores):
        enqueue(stores.redis, keys.UPKEEP, "roll_out")


def _ask_for_audit(stores: Stores, now: datetime) -> None:
    if audit_rollups.is_due(stores, now):
        enqueue(stores.redis, keys.UPKEEP, "audit_rollups")


def _keep_figures(stores: Stores, now: datetime) -> None:
    figures.measure(stores, now)
    figures.keep("scheduler", stores, now)


def _ask_for_prune(stores: Stores, _now: datetime) -> None:
    enqueue(stores.redis, keys.UPKEEP, "prune")
