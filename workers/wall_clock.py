"""The machine's clock may be set. APScheduler goes by it, and would rest for the hour that it is set back."""

import threading
import time
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.base import BaseScheduler

log = structlog.get_logger()
LOOK_EVERY_S = 1.0
SET_BY_S = 2.0
"""A clock that is slewed, or that we read late on a busy machine, is not one that was set."""


def mind(scheduler: BaseScheduler, stopping: threading.Event) -> None:
    """Wait until we are to stop; after the clock was set, everything is due at once."""
    ahead_s = _ahead_s()
    while not stopping.wait(LOOK_EVERY_S):
        before_s, ahead_s = ahead_s, _ahead_s()
        if abs(ahead_s - before_s) > SET_BY_S:
            log.warning("clock_was_set", by_s=round(ahead_s - before_s))
            for job in scheduler.get_jobs():
                job.modify(next_run_time=datetime.now(UTC))


def _ahead_s() -> float:
    return time.time() - time.monotonic()
