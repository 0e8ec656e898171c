"""Throws away what has ended: sign-in links and sessions nobody can use any more, old deliveries, replaced secrets."""

from datetime import datetime

import structlog

from schema import channels, delivery_log, sessions
from workers.stores import Stores

log = structlog.get_logger()


def prune(stores: Stores, now: datetime) -> None:
    """The job. Safe to repeat."""
    log.info("sessions_pruned", rows=sessions.purge(stores.control, now))
    log.info("deliveries_pruned", rows=delivery_log.purge(stores.control, now))
    log.info("channel_secrets_pruned", rows=channels.purge_secrets(stores.control, now))
