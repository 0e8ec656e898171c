"""How many statements may run at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from metrist.engine.errors import EngineError

QUEUED_PER_PLACE = 16


class Gate:
    """A place per thread, a bounded queue for them, and one place reads cannot take: slow graphs stop no ingest."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._all = asyncio.Semaphore(places)
        self._reads = asyncio.Semaphore(max(places - 1, 1))
        self._queued = {True: 0, False: 0}

    @asynccontextmanager
    async def place(self, *, is_read: bool) -> AsyncIterator[None]:
        """Wait for a place and hold it. Raises EngineError when too many wait already."""
        if self._queued[is_read] >= self._places * QUEUED_PER_PLACE:
            raise EngineError(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many simultaneous queries. Maximum: {self._places}"
            )
        self._queued[is_read] += 1
        taken = []
        try:
            try:
                for semaphore in (self._reads, self._all) if is_read else (self._all,):
                    await semaphore.acquire()
                    taken.append(semaphore)
            finally:
                self._queued[is_read] -= 1
            yield
        finally:
            for semaphore in taken:
                semaphore.release()
