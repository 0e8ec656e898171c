"""Throws away what has ended: sign-in links and sessions nobody can use any more."""

from datetime import datetime

import structlog

from schema import sessions
from workers.stores import Stores

log = structlog.get_logger()


def prune(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat."""
    log.info("sessions_pruned", rows=sessions.purge(stores.control, now))
