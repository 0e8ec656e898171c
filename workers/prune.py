"""Throws away what has ended: sign-in links and sessions nobody can use any more."""

from datetime import UTC, datetime

import structlog

from domain.settings import Settings
from schema import sessions
from schema.control.engine import open_control

log = structlog.get_logger()


def prune() -> int:
    """The job; returns how many rows went. Safe to repeat."""
    control = open_control(Settings().database_url.get_secret_value())
    try:
        pruned = sessions.purge(control, datetime.now(UTC))
    finally:
        control.dispose()
    log.info("sessions_pruned", rows=pruned)
    return pruned
