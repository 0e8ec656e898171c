"""An RQ worker: takes jobs from Redis, one at a time.

Jobs run in this process. A fork for each would cost more than most of them do and may not share our connections, and
what it guards against, code that hangs or bombs, is not ours: monitors run on agents. A job that takes the process
down is found by RQ's maintenance once its time is over, and tried again by whoever the supervisor started meanwhile.
"""

import logging
import random
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from types import FrameType
from typing import Any, ClassVar

import redis
import rq.job
import structlog
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.exceptions import StopRequested
from rq.serializers import JSONSerializer

from domain.settings import Settings
from schema import keys
from schema.own_figures import KEEP_EVERY_S
from workers import figures
from workers.audit_rollups import audit_rollups
from workers.copy_events import copy_events
from workers.deliver import deliver
from workers.erase import erase
from workers.evaluate import evaluate
from workers.prune import prune
from workers.queues import JOB_TIMEOUT_S, open_queues
from workers.roll_out import roll_out
from workers.stores import Stores, open_redis, open_stores

log = structlog.get_logger()
JOBS: dict[str, Callable[..., None]] = {
    "audit_rollups": audit_rollups,
    "copy_events": copy_events,
    "deliver": deliver,
    "erase": erase,
    "evaluate": evaluate,
    "prune": prune,
    "roll_out": roll_out,
}
"""Name in the queue → what is called with the stores, now, and the ids in the queue."""
MAINTENANCE_S = 30
_DEQUEUE_S = 15
_RQ_MORE_S = 10
"""RQ wants a connection to be so much more patient than it waits for a job."""
_SIGN_EVERY_S = 5.0
_HUNG_S = JOB_TIMEOUT_S + 30
"""Without a turn of its loop for so long the worker hangs, and shows no sign of life."""
_LONGEST_BACKOFF_S = 10.0


def main(settings: Settings, turned: Callable[[], None] = lambda: None) -> None:
    """Work until SIGTERM or SIGINT; a job that runs is ended first. Redis may go and come back.

    turned  is called whenever the loop comes round, some times a minute at least
    """
    Worker.on_turn = staticmethod(turned)
    logging.getLogger("rq").setLevel(logging.ERROR)
    stores, stopping = open_stores(settings), threading.Event()
    _sign_in_background(stores.redis, stopping)
    figures.keep_in_background("worker", stores, stopping, KEEP_EVERY_S)
    failures = 0
    _stop_on_signal(stopping)
    while not stopping.is_set():
        turned()
        has_worked = _work(stores, stopping)
        failures = 0 if has_worked else failures + 1
        stopping.wait(min(_LONGEST_BACKOFF_S, 0.5 * 2.0 ** min(failures, 8)) * random.uniform(0.5, 1))  # noqa: S311
    stores.close()
    log.info("worker_stopped")


class Job(rq.job.Job):
    """Calls what JOBS has under its name: what is in Redis can name no other code."""

    stores: Stores

    def _execute(self) -> None:
        name, began, has_failed = str(self.func_name), time.perf_counter(), True
        job = JOBS[name]
        try:
            job(self.stores, datetime.now(UTC), *self.args)
            has_failed = False
        finally:
            self.stores.tally.ended(name, time.perf_counter() - began, has_failed=has_failed)


class Worker(SimpleWorker):
    """RQ's worker in one process, on our stores."""

    turned_at: ClassVar[float] = time.monotonic()
    """When the loop of this process last came round, monotonic seconds."""
    on_turn: ClassVar[Callable[[], None]] = staticmethod(lambda: None)
    job_class = Job
    max_connection_wait_time = _LONGEST_BACKOFF_S

    def __init__(self, stores: Stores, waiting: redis.Redis, stopping: threading.Event) -> None:
        """`waiting` is for this loop alone: a connection that others have made would give up before a job comes."""
        super().__init__(
            open_queues(waiting),
            connection=waiting,
            serializer=JSONSerializer,
            worker_ttl=_DEQUEUE_S + 15,  # RQ waits 15 s less than this for a job, and does its maintenance in between
            maintenance_interval=MAINTENANCE_S,
            log_job_description=False,
        )
        self._stores = stores
        self._stopping = stopping

    def subscribe(self) -> None:
        """RQ's remote control would cost a thread and a connection; who may command us sends a signal."""

    def execute_job(self, job: rq.job.Job, queue: Queue) -> None:
        assert isinstance(job, Job)
        job.stores = self._stores
        super().execute_job(job, queue)

    def check_for_suspension(self, burst: bool) -> None:
        """Every turn begins here: one that was asked to stop before RQ listened for signals ends."""
        if self._stopping.is_set():
            raise StopRequested
        super().check_for_suspension(burst)

    def heartbeat(self, *args: Any, **kwargs: Any) -> None:
        Worker.turned_at = time.monotonic()
        Worker.on_turn()
        super().heartbeat(*args, **kwargs)

    def get_heartbeat_ttl(self, job: rq.job.Job, working_time: float = 0.0) -> int:
        """A job whose time is over and that still counts as started was killed with its worker."""
        return int(job.timeout or JOB_TIMEOUT_S) + 5

    def handle_exception(self, job: rq.job.Job, *exc_info: Any) -> None:
        log.warning("job_failed", job=job.func_name, job_id=job.id, error=exc_info[0].__name__, exc_info=exc_info)
        super().handle_exception(job, *exc_info)

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        self._stopping.set()
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    def set_shutdown_requested_date(self) -> None:
        """RQ would note it in Redis from within the signal's handler, and fail there while Redis is away."""


def _work(stores: Stores, stopping: threading.Event) -> bool:
    """Work until asked to stop or Redis is lost; False when Redis was not even found."""
    started = False
    Worker.turned_at = time.monotonic()
    waiting = open_redis(stores.settings, waits_s=_DEQUEUE_S + _RQ_MORE_S)
    try:
        worker = Worker(stores, waiting, stopping)
        started = True
        log.info("worker_started", queues=list(keys.QUEUES))
        worker.work(logging_level="ERROR")
    except StopRequested:
        pass
    except (RedisError, OSError) as error:
        if not stopping.is_set():
            log.warning("worker_lost_redis", error=type(error).__name__)
    finally:
        _stop_on_signal(stopping)  # RQ's handlers raise into whatever runs
        waiting.close()
    return started


def _stop_on_signal(stopping: threading.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())


def _sign_in_background(client: redis.Redis, stopping: threading.Event) -> None:
    def sign() -> None:
        while not stopping.wait(_SIGN_EVERY_S if _sign(client) else 0.5):
            pass

    threading.Thread(target=sign, name="sign", daemon=True).start()


def _sign(client: redis.Redis) -> bool:
    """Show the sign of life, unless the loop hangs; False when Redis is away."""
    if time.monotonic() - Worker.turned_at > _HUNG_S:
        return True
    try:
        client.set(keys.process_alive("worker"), int(time.time() * 1000), ex=keys.ALIVE_S)
    except (RedisError, OSError):
        return False
    return True
