"""An RQ worker: takes jobs from Redis, one at a time.

Jobs run in this process: a fork per job would cost more than most jobs do, and a job that takes the process down is
found by RQ's maintenance in half a minute and tried again, by whoever the supervisor has started meanwhile.
"""

import logging
import threading
import time

import redis
import structlog
from redis.exceptions import RedisError
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer

from domain.settings import Settings
from schema import keys

log = structlog.get_logger()
MAINTENANCE_S = 30
_SIGN_EVERY_S = 5.0
_DEQUEUE_S = 30
_BACKOFF_S = (0.5, 1.0, 2.0, 5.0)


def main(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; a job that runs is ended first. Redis may go and come back."""
    logging.getLogger("rq").setLevel(logging.WARNING)
    client = redis.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=_DEQUEUE_S * 4, socket_connect_timeout=5
    )
    stopping = threading.Event()
    threading.Thread(target=_sign, args=(client, stopping), name="sign", daemon=True).start()
    failures = 0
    while not stopping.is_set():
        try:
            worker = SimpleWorker(
                queues(client),
                connection=client,
                serializer=JSONSerializer,
                worker_ttl=_DEQUEUE_S * 2,
                maintenance_interval=MAINTENANCE_S,
                log_job_description=False,  # it holds arguments, which do not belong into logs
            )
            log.info("worker_started", queues=list(keys.QUEUES))
            worker.work(logging_level="WARNING")
            stopping.set()
        except (RedisError, OSError) as error:
            pause_s = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
            log.warning("worker_lost_redis", error=type(error).__name__, retry_in_s=pause_s)
            failures += 1
            time.sleep(pause_s)
    log.info("worker_stopped")


def queues(client: redis.Redis) -> list[Queue]:
    """The queues, the most urgent first."""
    return [Queue(name, connection=client, serializer=JSONSerializer) for name in keys.QUEUES]


def _sign(client: redis.Redis, stopping: threading.Event) -> None:
    while not stopping.is_set():
        try:
            client.set(keys.process_alive("worker"), int(time.time() * 1000), ex=keys.ALIVE_S)
        except (RedisError, OSError) as error:
            log.debug("sign_of_life_lost", error=type(error).__name__)
        stopping.wait(_SIGN_EVERY_S)
