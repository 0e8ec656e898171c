"""The last runs of monitors: from Redis, and where that has lost them from what is kept of them."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from anyio import to_thread
from fastapi import Request

from dashboards.watch import AWAY
from domain.ids import AccountId
from domain.monitor_runs import Record
from schema import monitor_runs, run_history
from schema.stores import Stores

HISTORY_ROWS = 30


class Found(NamedTuple):
    """Node → its last run; `recalled` are those of which it is only the last that is kept."""

    runs: Mapping[str, Record]
    recalled: Collection[str] = ()


async def last_runs(
    request: Request, account_id: AccountId, wanted: Mapping[UUID, Collection[str]]
) -> dict[UUID, Found]:
    """The last runs of monitors on their nodes, by monitor; what no store knows just now is left out."""
    stores: Stores = request.app.state.stores
    try:
        known = await monitor_runs.read(stores.redis, account_id, list(wanted))
    except AWAY:
        known = {monitor_id: {} for monitor_id in wanted}
    lost = [monitor_id for monitor_id, nodes in wanted.items() if set(nodes) - known[monitor_id].keys()]
    recalled = await _recall(stores, account_id, lost)
    return {
        monitor_id: Found({**recalled.get(monitor_id, {}), **runs}, recalled.get(monitor_id, {}).keys() - runs.keys())
        for monitor_id, runs in known.items()
    }


async def history(
    request: Request, account_id: AccountId, monitor_id: UUID, node: str, before: datetime
) -> Sequence[tuple[str, Record]] | None:
    """What is kept of a monitor's runs, the newest first, one more than a page shows; None while nobody can tell."""
    clickhouse = request.app.state.stores.clickhouse
    ask = (clickhouse, account_id, monitor_id, node, before, HISTORY_ROWS + 1)
    try:
        return await to_thread.run_sync(run_history.page, *ask)
    except AWAY:
        return None


async def _recall(stores: Stores, account_id: AccountId, lost: Sequence[UUID]) -> dict[UUID, dict[str, Record]]:
    if not lost:
        return {}
    try:
        return await to_thread.run_sync(run_history.last, stores.clickhouse, account_id, lost)
    except AWAY:
        return {}
