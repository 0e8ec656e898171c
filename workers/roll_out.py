"""Moves the versions of monitors on to more nodes, or back; what is decided is domain.rollouts, here it is asked."""

from collections.abc import Sequence
from datetime import datetime

import structlog

from domain import monitor_runs as runs
from domain.ids import AccountId
from domain.monitors import Candidate, Spec, finds
from domain.rollouts import Move, Progress, decide
from schema import monitor_runs, monitors, nodes, series_budget
from schema.monitors import Monitor
from schema.nodes import NodeRow
from workers.stores import Stores

log = structlog.get_logger()


def roll_out(stores: Stores, now: datetime) -> None:
    """The job: one step for each version on its way. Safe to repeat: what was moved already is not moved again."""
    by_account: dict[AccountId, list[Monitor]] = {}
    for monitor in monitors.list_moving(stores.control):
        by_account.setdefault(monitor.account_id, []).append(monitor)
    for account_id, moving in by_account.items():
        fleet = nodes.list_for(stores.control, account_id)
        left = series_budget.left(stores.clickhouse, account_id, stores.settings.series_budget, now)
        moved = [_step(stores, monitor, fleet, left, now) for monitor in moving]
        if any(moved):
            monitor_runs.tell_changed_sync(stores.redis, account_id)


def is_due(stores: Stores) -> bool:
    """Whether any version is on its way."""
    return monitors.any_moving(stores.control)


def _step(stores: Stores, monitor: Monitor, fleet: Sequence[NodeRow], left: int, now: datetime) -> bool:
    spec = monitor.pushed_spec
    assert spec is not None, "what moves was pushed"
    move = decide(monitor.rollout, _target(stores, monitor, spec, fleet), spec.interval_s, now, left)
    if move is None or monitors.move(stores.control, monitor, move, now) is None:
        return False
    _tell(monitor, move)
    return True


def _target(stores: Stores, monitor: Monitor, spec: Spec, fleet: Sequence[NodeRow]) -> list[Progress]:
    told = monitor_runs.read_sync(stores.redis, monitor.account_id, monitor.id)
    return [
        runs.progress(node.name, node.state, node.agent, monitor.pushed, spec, told.get(node.name))
        for node in fleet
        if finds(monitor.target, Candidate(node.name, node.labels))
    ]


def _tell(monitor: Monitor, move: Move) -> None:
    about = {"account_id": str(monitor.account_id), "monitor": monitor.name, "version": monitor.pushed}
    log.info("monitor_moved", **about, stage=move.stage.value, reason=move.reason)
