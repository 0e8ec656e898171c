"""Readers of links have no session, so what one link costs is bounded: so many panels at a time, so many in line."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from domain.errors import Overloaded
from domain.ids import ShareId

AT_ONCE = 4
WAITING_MAX = 64
WAITS_S = 20.0
"""So long a reader waits for its turn."""


@dataclass
class _Door:
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))
    here: int = 0


class Readers:
    """Who reads by which link in this process."""

    def __init__(self) -> None:
        self._doors: dict[ShareId, _Door] = {}

    @asynccontextmanager
    async def place(self, share_id: ShareId) -> AsyncIterator[None]:
        """A turn to read by this link; raises Overloaded when too many are in line, or it takes too long."""
        door = self._doors.setdefault(share_id, _Door())
        if door.here >= WAITING_MAX:
            raise Overloaded("Too many people look at this link just now; it tries again by itself")
        door.here += 1
        try:
            await self._enter(door)
            try:
                yield
            finally:
                door.places.release()
        finally:
            door.here -= 1
            if not door.here:
                self._doors.pop(share_id, None)

    async def _enter(self, door: _Door) -> None:
        try:
            await asyncio.wait_for(door.places.acquire(), WAITS_S)
        except TimeoutError:
            raise Overloaded("This link is busy just now; it tries again by itself") from None
