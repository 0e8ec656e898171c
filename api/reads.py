"""Reads from ClickHouse for requests: so many at a time, and none for a caller who has left."""

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

import structlog
from starlette.datastructures import State
from starlette.requests import ClientDisconnect, Request

from domain.errors import MetristError, StoreUnavailable
from schema.asking import Asking
from schema.clickhouse_client import ClickHouse, ClickHouseError

log = structlog.get_logger()
T = TypeVar("T")

AT_ONCE = 8
"""A thread each; the embedded engine answers seven at a time."""
WAITING_MAX = 256
STOP_AGAIN_S = (0.0, 0.2, 1.0, 3.0)
"""A question may still have been on its way when it was to be stopped."""


class Reads:
    """Threads that ask ClickHouse, apart from those that prove who is asking: slow graphs keep nobody out."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self._threads = ThreadPoolExecutor(AT_ONCE, "read")
        self._stopper = ThreadPoolExecutor(2, "stop-read")
        self._stopping: set[asyncio.Task[None]] = set()
        self._under_way = 0

    async def run(self, request: Request, work: Callable[[], T]) -> T:
        """What `work` gives; it asks through `schema.series.ask`, one question after the other.

        When the caller hangs up, or this task is cancelled, the question is stopped. Raises ClientDisconnect,
        StoreUnavailable when too many wait already, and what `work` raises. The request's body must have been read.
        """
        if self._under_way >= WAITING_MAX:
            raise StoreUnavailable("too many graphs are being read just now", headers={"Retry-After": "2"})
        asking = Asking()
        asked = self._threads.submit(contextvars.copy_context().run, _work_for, asking, work)
        answer: asyncio.Future[T] = asyncio.wrap_future(asked)
        leaving = asyncio.create_task(_left(request))
        self._under_way += 1
        try:
            await asyncio.wait((answer, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                raise ClientDisconnect
            return answer.result()
        finally:
            self._under_way -= 1
            leaving.cancel()
            if not asked.done():
                answer.cancel()  # which also takes it out of the line, if it has not begun
                self._stop(asked, asking)

    def close(self) -> None:
        """Begin nothing more; what runs has its own limit."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._stopper.shutdown(wait=False, cancel_futures=True)

    def _stop(self, asked: "Future[T]", asking: Asking) -> None:
        stopping = asyncio.create_task(self._stop_until_done(asked, asking))
        self._stopping.add(stopping)
        stopping.add_done_callback(self._stopping.discard)

    async def _stop_until_done(self, asked: "Future[T]", asking: Asking) -> None:
        loop = asyncio.get_running_loop()
        for pause_s in STOP_AGAIN_S:
            await asyncio.sleep(pause_s)
            if asked.done():
                return
            try:
                await loop.run_in_executor(self._stopper, asking.stop, self._clickhouse)
            except (MetristError, ClickHouseError, OSError) as error:
                log.info("read_not_stopped", query_id=asking.query_id, error=type(error).__name__)


@asynccontextmanager
async def serving(state: State) -> AsyncIterator[None]:
    """Keep `state.reads` while the process serves."""
    state.reads = Reads(state.stores.clickhouse)
    try:
        yield
    finally:
        state.reads.close()


def _work_for(asking: Asking, work: Callable[[], T]) -> T:
    with asking.here():
        return work()


async def _left(request: Request) -> None:
    """Return when the caller hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
