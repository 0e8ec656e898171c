"""Live data goes on being kept when Redis has lost who asked for it: the control DB knows which recordings run."""

from datetime import datetime

import structlog

from schema import recordings
from workers.stores import Stores

log = structlog.get_logger()


def keep_recordings(stores: Stores, now: datetime) -> None:
    """Tell Redis again of every recording that runs, where it knows nothing of it. Raises StoreUnavailable."""
    for one in recordings.list_running(stores.control, now):
        if recordings.keep_on(stores.redis, one, now):
            log.info("recording_taken_up_again", recording=str(one.id), node=one.node, account_id=str(one.account_id))
