"""RQ's queues: what is put into them, and how.

A job in Redis is a name and ids, as JSON: a new release reads yesterday's queue, and what is in Redis can only name
what worker.JOBS lists. Every job may run twice, and is tried three times more when it fails or its worker dies.
"""

import redis
from rq import Queue, Retry
from rq.exceptions import DuplicateJobError
from rq.serializers import JSONSerializer

from schema import keys

JOB_TIMEOUT_S = 60
_RETRIES = 3
_FAILURE_KEPT_S = 3_000
"""Less than the hour after which upkeep is asked for again: a failed one must not stand in its way."""


def open_queues(client: redis.Redis) -> list[Queue]:
    """All queues, the most urgent first."""
    return [_open(name, client) for name in keys.QUEUES]


def enqueue(client: redis.Redis, queue: str, job: str, *ids: str) -> bool:
    """Put a job of worker.JOBS into a queue; False when the same one waits or runs already. Raises RedisError."""
    try:
        _open(queue, client).enqueue(
            job,
            args=ids,
            job_id="-".join((job, *ids)),
            unique=True,
            result_ttl=0,  # nobody reads results, and the id is free again
            failure_ttl=_FAILURE_KEPT_S,
            retry=Retry(max=_RETRIES),  # at once: with pauses, RQ would need its own scheduler process
        )
    except DuplicateJobError:
        return False
    return True


def _open(name: str, client: redis.Redis) -> Queue:
    return Queue(name, connection=client, serializer=JSONSerializer, default_timeout=JOB_TIMEOUT_S)
