"""Says at once what was recorded: to open pages, to whoever sends deliveries. What is lost here costs a delay only."""

import json
from collections.abc import Iterable

import structlog
from redis.exceptions import RedisError

from domain.conditions import State, worst_state
from domain.errors import StoreUnavailable
from domain.ids import AccountId
from schema import keys, latest
from schema.statuses import Judged
from workers.finding import Held
from workers.queues import enqueue
from workers.stores import Stores

log = structlog.get_logger()


def tell(stores: Stores, account_id: AccountId, judged: Iterable[Judged]) -> None:
    """Let open pages know which conditions changed."""
    states: dict[str, list[State]] = {}
    for one in judged:
        for condition, move in one.moves:
            state = move.after.state if move.after else State.OK
            states.setdefault(str(condition.id), []).append(state)
    if not states:
        return
    try:
        with stores.redis.pipeline(transaction=False) as pipeline:
            for condition_id, moved in states.items():
                message = {"type": "status", "condition": condition_id, "state": worst_state(moved).value}
                pipeline.publish(keys.events_channel(account_id), json.dumps(message))
            pipeline.execute()
    except (RedisError, OSError) as error:
        log.debug("statuses_not_published", account_id=str(account_id), error=type(error).__name__)


def hurry(stores: Stores, owed: int) -> None:
    """Let what is owed be sent now, and not only with the scheduler's next look."""
    if not owed:
        return
    try:
        enqueue(stores.redis, keys.DELIVER, "deliver")
    except (RedisError, OSError) as error:
        log.debug("delivery_not_hurried", error=type(error).__name__)


def remember(stores: Stores, account_id: AccountId, held: Held) -> None:
    """Keep the latest values of what is not ok."""
    found = [
        (condition_id, group, (status.value, status.reading_at))
        for condition_id, groups in held.items()
        for group, status in groups.items()
        if status.reading_at is not None
    ]
    try:
        latest.keep(stores.redis, account_id, found)
    except StoreUnavailable as error:
        log.debug("readings_not_kept", account_id=str(account_id), detail=error.detail)
