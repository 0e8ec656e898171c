"""All that this process can tell of itself and of the platform, gathered when somebody asks."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from starlette.datastructures import State

from api.contact import Contacts
from api.snapshots import Ingest
from domain import metering
from domain.errors import MetristError
from domain.metering import Family, Histogram, Point
from schema import audits, own_figures, process
from schema.clickhouse_client import ClickHouseError
from schema.own_figures import Kept

log = structlog.get_logger()
FRESH_S: Final = 5.0
"""So long the figures of the stores are told again, however many ask."""
WITHIN_S: Final = 4.0
_TURN_S: Final = 0.25
API: Final = "api"


class Loop:
    """How late this process's event loop comes round: what everybody waits for in turn."""

    def __init__(self) -> None:
        self.late = Histogram((0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0))

    async def watch_forever(self) -> None:
        """Measure, until cancelled."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(_TURN_S)
            self.late.observe(max(0.0, time.perf_counter() - began - _TURN_S))


class Shared:
    """The platform's figures from Redis and ClickHouse, asked for anew after a few seconds, by one at a time."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._asking = asyncio.Lock()
        self._asked_s = -FRESH_S
        self._families: list[Family] = []
        self.background: list[Kept] = []

    async def families(self) -> list[Family]:
        """What the stores tell; a store that is away tells nothing, and the figure `metrist_store_up` that it is."""
        async with self._asking:
            if time.monotonic() - self._asked_s >= FRESH_S:
                self._families = await self._ask()
                self._asked_s = time.monotonic()
            return self._families

    async def _ask(self) -> list[Family]:
        stores, now_s = self._state.stores, time.time()
        kept, queues, tables, audit = await asyncio.gather(
            _unless_away(own_figures.kept(stores.redis, now_s)),
            _unless_away(own_figures.queues(stores.redis, now_s)),
            _unless_away(asyncio.to_thread(own_figures.tables, stores.clickhouse)),
            _unless_away(audits.last(stores.redis)),
        )
        self.background = kept or []
        up = {"redis": float(kept is not None), "clickhouse": float(tables is not None)}
        found = [metering.gauges("metrist_store_up", "Whether a store told its figures", "store", up)]
        found += own_figures.of_queues(queues or ())
        found += tables or []
        found += audits.families(audit, now_s) if audit else ()
        return found


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Keep `state.loop_lag` and `state.shared_figures` while the process serves."""
    state.loop_lag, state.shared_figures = Loop(), Shared(state)
    watching = asyncio.create_task(state.loop_lag.watch_forever())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def own(state: State) -> Iterator[Family]:
    """This process's, without asking anybody."""
    ingest: Ingest = state.ingest
    yield from ingest.tally.families()
    yield from ingest.carried.families()
    yield from _of_spool(ingest)
    yield from state.traffic.families()
    yield from _of_nodes(state)
    yield from _of_reads(state)
    yield metering.histogram("metrist_loop_late_seconds", "How late the event loop came round", state.loop_lag.late)
    yield from process.families()


async def everything(state: State) -> list[Family]:
    """This process's, those of worker and scheduler, the stores'; each with the process that told it."""
    shared: Shared = state.shared_figures
    found = [family.labelled({"process": API, "host": own_figures.host()}) for family in own(state)]
    stores = await shared.families()
    for kept in shared.background:
        found += [family.labelled({"process": kept.process, "host": kept.host}) for family in kept.families]
    return metering.merged([*found, *stores])


def _of_spool(ingest: Ingest) -> Iterator[Family]:
    spool = ingest.spool
    since = spool.oldest_s()
    yield metering.gauge("metrist_spool_bytes", "Acknowledged and not yet in ClickHouse", spool.pending_bytes)
    yield metering.gauge("metrist_spool_segments", "Segments that wait for their INSERT", len(spool.sealed()))
    says = "Since when the oldest sample waits there"
    yield metering.gauge("metrist_spool_oldest_seconds", says, max(0.0, time.time() - since) if since else 0.0)
    spaces = {space.name: space for space in ingest.room.spaces()}
    for name, says, figure in (
        ("metrist_disk_free_bytes", "Free on the disks that samples end on", "free_bytes"),
        ("metrist_disk_needed_bytes", "Snapshots are refused below this", "needed_bytes"),
        ("metrist_disk_short", "1 while snapshots are refused for a disk's sake", "is_short"),
    ):
        values = {key: float(getattr(space, figure)) for key, space in spaces.items()}
        yield metering.gauges(name, says, "disk", values)


def _of_nodes(state: State) -> Iterator[Family]:
    contacts: Contacts = state.contacts
    yield metering.counter("metrist_pings", "Pings heard", contacts.pings)
    yield metering.gauge("metrist_pings_held", "Pings that wait for something to do", state.wakes.held)
    yield metering.counter("metrist_commands_leased", "Commands handed to nodes", contacts.leased)
    yield metering.counter("metrist_commands_settled", "Commands that nodes told the end of", contacts.settled)
    yield metering.gauge("metrist_live_streams", "Live views open in this process", state.live_streams)
    troubles = tuple(
        Point(count, {"what": what, "cause": cause}) for (what, cause), count in contacts.seldom.counts.items()
    )
    yield Family("metrist_troubles", "counter", "What failed and was passed over", troubles)


def _of_reads(state: State) -> Iterator[Family]:
    stores = state.stores
    yield from stores.clickhouse.asked.families()
    asked = {"hit": stores.answers.hits, "miss": stores.answers.misses}
    yield metering.counters("metrist_answers", "Graphs that were remembered, or had to be worked out", "result", asked)
    yield metering.gauge("metrist_answers_bytes", "Answers remembered", stores.answers.bytes_kept)


async def _unless_away(asked: Awaitable[Any]) -> Any:
    """None when a store is away."""
    try:
        async with asyncio.timeout(WITHIN_S):
            return await asked
    except (MetristError, ClickHouseError, OSError, TimeoutError) as error:
        log.debug("figures_not_told", error=type(error).__name__)
        return None
