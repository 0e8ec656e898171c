"""The clock: wakes the sweep and enqueues upkeep. Owns no truth, so a second one idles and a dead one is replaced."""

import logging
import secrets
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import redis
import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from redis.exceptions import RedisError
from rq import Queue, Retry
from rq.serializers import JSONSerializer
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from domain.errors import MetristError
from domain.settings import Settings
from schema import keys
from schema.control.engine import open_control
from schema.lua import Lua
from workers import prune
from workers.sweep import reconcile, sweep_liveness

log = structlog.get_logger()
SWEEP_EVERY_S = 2
RECONCILE_EVERY_S = 60
PRUNE_EVERY_H = 1
LEASE_MS = 10_000
_HOLD, _DROP = Lua("hold_lease"), Lua("drop_lease")


class Clock:
    """What the scheduler's jobs share. Each job does nothing while another process holds the lease."""

    def __init__(self, settings: Settings, control: Engine, client: redis.Redis) -> None:
        self._settings = settings
        self._control = control
        self._client = client
        self._token = secrets.token_hex(16)
        self._is_leading = False

    def sweep(self) -> None:
        """Say that we live, keep the lease, move silent nodes on."""
        self._guarded("sweep", lambda now: sweep_liveness(self._control, self._client, self._settings, now))

    def reconcile(self) -> None:
        """Give nodes that Redis has lost their deadlines again."""
        self._guarded("reconcile", lambda now: reconcile(self._control, self._client, self._settings, now))

    def enqueue_prune(self) -> None:
        """Upkeep is a job; one that is still waiting is not doubled."""
        queue = Queue(keys.UPKEEP, connection=self._client, serializer=JSONSerializer)
        self._guarded(
            "prune",
            lambda _: queue.enqueue(prune.prune, job_id="prune", retry=Retry(max=3, interval=[10, 60, 300])),
        )

    def close(self) -> None:
        """Let a successor take over at once."""
        try:
            _DROP.run_sync(self._client, [keys.lease("scheduler")], [self._token])
        except MetristError as error:
            log.debug("lease_not_dropped", error=error.detail)

    def _guarded(self, name: str, work: Callable[[datetime], object]) -> None:
        """A store that is away is no reason to end: it is said, and tried again at the next tick."""
        try:
            if self._lead():
                work(datetime.now(UTC))
        except (MetristError, RedisError, SQLAlchemyError, OSError) as error:
            log.warning(f"{name}_failed", error=type(error).__name__, detail=str(error)[:200])

    def _lead(self) -> bool:
        self._client.set(keys.process_alive("scheduler"), int(time.time() * 1000), ex=keys.ALIVE_S)
        leads = bool(_HOLD.run_sync(self._client, [keys.lease("scheduler")], [self._token, LEASE_MS]))
        if leads != self._is_leading:
            self._is_leading = leads
            log.info("scheduler_leads" if leads else "scheduler_idles")
        return leads


def main(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    control = open_control(settings.database_url.get_secret_value())
    client = redis.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=5, socket_connect_timeout=5, health_check_interval=15
    )
    clock = Clock(settings, control, client)
    scheduler = BackgroundScheduler(
        timezone=UTC, job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
    )
    soon = datetime.now(UTC) + timedelta(seconds=1)
    scheduler.add_job(clock.sweep, "interval", seconds=SWEEP_EVERY_S, next_run_time=datetime.now(UTC))
    scheduler.add_job(clock.reconcile, "interval", seconds=RECONCILE_EVERY_S, jitter=2, next_run_time=soon)
    scheduler.add_job(clock.enqueue_prune, "interval", hours=PRUNE_EVERY_H, jitter=60, next_run_time=soon)
    scheduler.start()
    log.info("scheduler_started")
    stopping.wait()
    scheduler.shutdown(wait=False)
    clock.close()
    client.close()
    control.dispose()
    log.info("scheduler_stopped")
