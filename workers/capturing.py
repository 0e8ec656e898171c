"""Keeps a node's live data when a condition there is pending or fires, to be looked at second by second afterwards."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import redis.asyncio
import structlog

from domain.condition_specs import Condition, MetricRule
from domain.errors import InvalidQuery, MetristError
from domain.evaluation import Move
from domain.ids import AccountId
from domain.live import METRICS_MAX, wish
from domain.query import NODE
from domain.series import Selector
from schema import recordings, series
from schema.control.engine import reading
from schema.recordings import Recording
from schema.statuses import Capture, Judged
from workers.stores import Stores

log = structlog.get_logger()
EVERY_MS: Final = 1_000
AT_ONCE: Final = 10
"""Begun together at most: when a whole fleet fires, its first nodes tell enough."""
_SEEN_WITHIN_S: Final = 600


def wanted(stores: Stores, account_id: AccountId, judged: Iterable[Judged], now: datetime) -> list[Capture]:
    """What the moves ask to be captured; nothing of a node that is recorded already."""
    asked = [(condition, move) for one in judged for condition, move in one.moves if _asks(condition, move, now)]
    if not asked:
        return []
    with reading(stores.control) as conn:
        busy = recordings.running(conn, account_id, now)
    found: list[Capture] = []
    for condition, move in asked:
        node = move.group.labels[NODE]
        if node not in busy and len(found) < AT_ONCE:
            busy.add(node)
            found += _capture(stores, account_id, condition, move, node)
    return found


def keep(stores: Stores, begun: Sequence[Recording], now: datetime) -> None:
    """Ask the agents, and let what they send be kept."""
    if begun:
        asyncio.run(_keep(stores.settings.redis_url.get_secret_value(), begun, now))


def _asks(condition: Condition, move: Move, now: datetime) -> bool:
    """Only of what is so now: a capture cannot look back, so catching up begins none."""
    capture, transition = condition.spec.capture, move.transition
    if capture is None or transition is None or NODE not in move.group.labels:
        return False
    is_fresh = now - move.at < timedelta(seconds=60)
    return is_fresh and transition.after.value == capture.when and transition.before != transition.after


def _capture(stores: Stores, account_id: AccountId, condition: Condition, move: Move, node: str) -> list[Capture]:
    capture = condition.spec.capture
    assert capture is not None
    try:
        wished = wish(node, _metrics(stores, account_id, condition, node, move.at), EVERY_MS)
    except InvalidQuery as error:
        log.info("capture_not_begun", account_id=str(account_id), node=node, detail=error.detail)
        return []
    lasts = timedelta(minutes=capture.minutes)
    note = f"{condition.name} {capture.when}"
    return [Capture(condition.id, move.group, wished, lasts, note, stores.settings.base_url)]


def _metrics(stores: Stores, account_id: AccountId, condition: Condition, node: str, now: datetime) -> list[str]:
    """The condition's own first, then whatever else the node reports, as many as may be."""
    own = [condition.spec.rule.query.metric] if isinstance(condition.spec.rule, MetricRule) else []
    seen_since_s = now.timestamp() - _SEEN_WITHIN_S
    listed = series.list_series(stores.clickhouse, account_id, Selector(["*"], [node]), seen_since_s)
    return list(dict.fromkeys([*own, *(one.metric for one in listed)]))[:METRICS_MAX]


async def _keep(url: str, begun: Sequence[Recording], now: datetime) -> None:
    async with redis.asyncio.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0) as client:
        for one in begun:
            try:
                await recordings.keep(client, one, now)
                log.info("capture_begun", account_id=str(one.account_id), node=one.node, recording=str(one.id))
            except MetristError as error:
                log.warning("capture_not_kept", node=one.node, recording=str(one.id), detail=error.detail)
