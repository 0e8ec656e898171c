"""Keeps what a background process has counted where the API finds it: it has no port of its own."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import structlog

from domain.errors import MetristError
from domain.metering import Family
from schema import accounts, heartbeats, own_figures, process, watermarks
from workers.stores import Stores

log = structlog.get_logger()


def keep(name: str, stores: Stores, now: datetime) -> None:
    """Keep them once. Raises StoreUnavailable."""
    own_figures.keep(stores.redis, name, list(_families(stores)), now.timestamp())


def keep_in_background(name: str, stores: Stores, stopping: threading.Event, every_s: float) -> None:
    """Keep them again and again, from a thread that ends with the process; while Redis is away they wait."""

    def work() -> None:
        while not stopping.wait(every_s):
            try:
                keep(name, stores, datetime.now(UTC))
            except MetristError as error:
                log.debug("figures_not_kept", error=error.detail)

    threading.Thread(target=work, name="figures", daemon=True).start()


def measure(stores: Stores, now: datetime) -> None:
    """Look how far evaluation and sweep are behind. Raises StoreUnavailable."""
    stores.tally.late("evaluation", watermarks.lag_s(stores.control, now))
    known = [account.id for account in accounts.list_all(stores.control)]
    stores.tally.late("sweep", heartbeats.behind_s(stores.redis, known, int(now.timestamp() * 1000)))


def _families(stores: Stores) -> Iterator[Family]:
    yield from stores.tally.families()
    yield from stores.clickhouse.asked.families()
    yield from process.families()
