"""Erases what people had deleted from the stores of samples and of liveness; the control DB remembers what is due."""

from datetime import datetime

import structlog
from redis.exceptions import RedisError

from domain.errors import MetristError
from schema import erasures
from schema.clickhouse_client import ClickHouseError
from schema.erasures import Erasure
from workers.stores import Stores

log = structlog.get_logger()
AT_ONCE = 20
"""A run looks at so many, a few queries each; the others are due again with the next run."""


def erase(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat."""
    for erasure in erasures.due(stores.control, now, AT_ONCE):
        _look(stores, erasure, now)


def is_due(stores: Stores, now: datetime) -> bool:
    """Whether there is anything to look at."""
    return bool(erasures.due(stores.control, now, 1))


def _look(stores: Stores, erasure: Erasure, now: datetime) -> None:
    about = {"account_id": str(erasure.account_id), "node": erasure.node, "attempts": erasure.attempts}
    try:
        is_gone = _erase(stores, erasure)
    except (MetristError, RedisError, ClickHouseError, OSError) as error:
        log.warning("erasure_failed", **about, error=type(error).__name__, detail=str(error)[:200])
        is_gone = False
    if is_gone:
        erasures.passed(stores.control, erasure, now)
        log.info("erasure_passed", **about, passes=erasure.passes + 1)
    else:
        erasures.postpone(stores.control, erasure, now)


def _erase(stores: Stores, erasure: Erasure) -> bool:
    """Whether nothing is left. A node may come back at any moment, under the same name: that one keeps what is its."""
    is_back = bool(erasure.node) and erasures.is_back(stores.control, erasure)
    if not is_back:
        erasures.erase_liveness(stores.redis, erasure)
    return erasures.erase_samples(stores.clickhouse, erasure, only_before=is_back)
