"""Copies what is new in the log of nodes to ClickHouse, where analysts find it beside the samples."""

from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

import structlog

from domain.errors import MetristError
from schema import event_copies
from schema.clickhouse_client import ClickHouseError
from schema.hold import Hold
from workers.stores import Stores

log = structlog.get_logger()
AT_ONCE = 400
"""Events in an INSERT; the names of so many nodes are asked for with one query."""
BATCHES = 100
"""In one run; a long log is copied in several."""


def copy_events(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat; while ClickHouse is away it does nothing, and the next run goes on."""
    try:
        copied = _copy(stores)
    except (MetristError, ClickHouseError, OSError) as error:
        log.warning("events_not_copied", error=type(error).__name__, detail=str(error)[:200])
        return
    if copied:
        log.debug("events_copied", events=copied)


def is_due(stores: Stores) -> bool:
    """Whether there may be anything to copy."""
    return event_copies.has_any(stores.control)


def _copy(stores: Stores) -> int:
    seq, copied = event_copies.copied(stores.clickhouse), 0
    for _ in range(BATCHES):
        found, names = event_copies.next_after(stores.control, seq, AT_ONCE)
        if not found:
            break
        with _held(stores):
            event_copies.insert(stores.clickhouse, found, names)
        seq, copied = found[-1].seq, copied + len(found)
    return copied


def _held(stores: Stores) -> AbstractContextManager[bool]:
    """Not while a backup takes its moment: rows and the mark behind them are two tables."""
    spools = stores.settings.spool_dir
    return Hold(spools).shared(lambda: False) if spools.is_dir() else nullcontext(True)
