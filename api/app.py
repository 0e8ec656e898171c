"""The route table and the wiring of one API process."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from fastapi import FastAPI

from api import (
    catalog,
    door,
    figures,
    health,
    lateness,
    limits,
    live,
    manage_monitors,
    metrics,
    monitor_sets,
    monitors,
    node_events,
    openapi,
    overlay,
    own_reports,
    ping,
    problems,
    query,
    reads,
    revocations,
    run_keeper,
    series,
    snapshots,
    statuses,
    traffic,
)
from api import dashboards as kept_dashboards
from api.auth import KeyCache
from api.monitor_sets import MonitorSets
from api.readiness import Readiness
from api.sharing import Readers
from api.snapshots import Ingest, Stored
from api.tally import Tally
from dashboards import accounts as account_pages
from dashboards import (
    boards,
    compress,
    conditions,
    download,
    explorer,
    guide,
    headers,
    installer,
    invite,
    node_page,
    oauth,
    pages,
    problem_types,
    recordings,
    signin,
    static,
)
from dashboards import live as live_pages
from dashboards import monitors as monitor_pages
from dashboards import notices as notice_pages
from dashboards import settings as settings_pages
from dashboards.live_hub import LiveHub
from dashboards.node_list import routes as node_list
from domain.settings import Settings
from domain.snapshots import Admission
from schema import spool
from schema.batches import Batches
from schema.drain import Drain
from schema.room import Room
from schema.spool import Spool
from schema.stores import Stores, open_stores

log = structlog.get_logger()
_DRAIN_STOP_S = 4.0


def create_app(settings: Settings) -> FastAPI:
    """The application; its clients are opened when it starts and closed when it ends."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        stores = open_stores(settings)
        app.state.stores = stores
        app.state.keys = KeyCache(stores.control)
        app.state.monitor_sets = MonitorSets(stores.control)
        app.state.shared_readers = Readers()
        app.state.live_hub, app.state.live_streams = LiveHub(stores.redis), 0
        async with (
            _ingest(settings, stores) as app.state.ingest,
            door.serving(app.state),
            lateness.serving(app.state),
            revocations.heard(app.state),
            ping.serving(app.state),
            monitor_sets.serving(app.state),
            run_keeper.serving(app.state),
            reads.serving(app.state),
            figures.serving(app.state),
            own_reports.serving(app.state),
        ):
            app.state.readiness = Readiness(app.state)
            yield
        await stores.close()

    app = FastAPI(title="Metrist", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.state.settings = settings
    app.state.reports_itself = False  # `metrist api` says otherwise
    for part in (
        snapshots,
        ping,
        live,
        statuses,
        monitors,
        manage_monitors,
        series,
        query,
        catalog,
        kept_dashboards,
        node_events,
        overlay,
        health,
        metrics,
        node_list,
        guide,
        explorer,
        pages,
        node_page,
        live_pages,
        recordings,
        conditions,
        boards,
        monitor_pages,
        notice_pages,
        settings_pages,
        account_pages,
        invite,
        problem_types,
        signin,
        oauth,
        download,
        installer,
        static,
    ):
        app.include_router(part.router)
    problems.install(app)
    limits.install(app)
    headers.install(app)
    compress.install(app)
    traffic.install(app)
    openapi.install(app)
    return app


@contextlib.asynccontextmanager
async def _ingest(settings: Settings, stores: Stores) -> AsyncIterator[Ingest]:
    """The spool with its drain; on leaving, what was acknowledged is inserted or stays on disk."""
    folder = await asyncio.to_thread(spool.claim_folder, settings.spool_dir)
    source = Spool(folder, max_bytes=settings.spool_max_bytes, segment_samples=settings.insert_max_samples)
    batches = Batches(stores.redis, settings.batch_memory_s, folder)
    for segment in source.sealed():
        batches.recall(segment.batches)
    stored = Stored(asyncio.get_running_loop())
    drain = Drain(source, stores.clickhouse, settings.insert_interval_s, stored.announce, batches.keep)
    room = Room(folder, stores.clickhouse, settings.disk_reserve_bytes, lambda: source.pending_bytes)
    tasks = [asyncio.create_task(work) for work in (batches.flush_forever(), room.look_forever())]
    drain.start()
    try:
        yield Ingest(Admission(), source, batches, stored, room, Tally(), drain.carried)
    finally:
        await asyncio.to_thread(source.close)
        await asyncio.to_thread(drain.stop, _DRAIN_STOP_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
