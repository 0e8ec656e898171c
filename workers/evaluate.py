"""Judges status conditions: those whose next instants can be, from the watermark on, one question for many."""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from domain import ticks
from domain.condition_specs import Condition
from domain.errors import StoreUnavailable
from domain.evaluation import judge
from domain.ids import AccountId
from schema import hearing, statuses, watermarks
from schema.statuses import Judged, Outrun
from workers import capturing, telling
from workers.finding import Shape, find, shape_of
from workers.stores import Stores

log = structlog.get_logger()
BUDGET_S: Final = 30.0
"""Of one job; what is not judged by then is due again with the next tick, and other accounts had their turn."""


def evaluate(stores: Stores, now: datetime, account: str) -> None:
    """The job. Safe to repeat, and for two to run at once: who comes second records nothing."""
    account_id, until_s = AccountId(UUID(account)), time.monotonic() + BUDGET_S
    try:
        while time.monotonic() < until_s and _round(stores, account_id, now, until_s):
            pass
    except Outrun:
        log.info("evaluation_outrun", account_id=account)
    except StoreUnavailable as error:
        log.warning("evaluation_put_off", account_id=account, detail=error.detail)


def _round(stores: Stores, account_id: AccountId, now: datetime, until_s: float) -> bool:
    """Judge what is due, AT_ONCE instants of each at most; False when nothing was."""
    due = watermarks.due(stores.control, account_id, now)
    if not due:
        return False
    conditions = stores.conditions.get(stores.control, account_id, due.keys())
    shapes: dict[Shape, list[Condition]] = {}
    for condition_id, condition in conditions.items():
        shapes.setdefault(shape_of(condition, due[condition_id]), []).append(condition)
    held = statuses.not_ok(stores.control, account_id)
    heard = hearing.read(stores.redis)
    waiting: list[Judged] = []
    for shape, alike in sorted(shapes.items(), key=lambda one: one[0].before):
        instants = ticks.instants(shape.before, shape.every_s, now)
        if instants:
            moves = [
                (condition, move)
                for at, found in find(stores, account_id, shape, alike, instants, heard, held)
                for condition in alike
                for move in judge(condition.spec, held.setdefault(condition.id, {}), found[condition.id], at)
            ]
            waiting.append(Judged(alike, shape.before, instants[-1], shape.every_s, moves))
        if time.monotonic() > until_s:
            break
        if waiting and waiting[-1].moves:
            _record(stores, account_id, waiting, now)
            waiting = []
    _record(stores, account_id, waiting, now)
    telling.remember(stores, account_id, held)
    return bool(conditions)


def _record(stores: Stores, account_id: AccountId, judged: Sequence[Judged], now: datetime) -> None:
    """What gave no moves is recorded together with what did, or at the end: a commit costs more than most judging."""
    if judged:
        captures = capturing.wanted(stores, account_id, judged, now)
        recorded = statuses.record(stores.control, account_id, judged, now, captures)
        telling.hurry(stores, recorded.owed)
        telling.tell(stores, account_id, judged)
        capturing.keep(stores, recorded.recordings, now)
