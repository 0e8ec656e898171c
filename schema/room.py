"""Room on the disks that snapshots end on: the spool's and ClickHouse's own.

Whoever refuses a snapshot in time keeps the stores whole: a spool that cannot be written loses nothing, but SQLite,
Valkey's log and ClickHouse's merges on a full disk fail in ways of their own. Pings and reads go on meanwhile.
"""

import asyncio
import os
import time
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import structlog

from domain.errors import MetristError, StorageFull
from domain.room import Space, judge
from schema.clickhouse_client import ClickHouse, ClickHouseError

log = structlog.get_logger()
LOOK_EVERY_S: Final = 5.0
LOOK_SHORT_EVERY_S: Final = 1.0
BELIEVED_S: Final = 60.0
"""A ClickHouse that has not answered for so long is not held to its last word: the spool has a bound of its own."""
_RETRY_AFTER_S: Final = 30
SPOOL, CLICKHOUSE = "spool", "clickhouse"
_LOOK_AT_SPOOL_S: Final = 1.0


class Room:
    """What one API process knows of its disks.

    reserve_bytes   must stay free on each
    owed_bytes      what the spool holds and ClickHouse will have to take
    """

    def __init__(self, folder: Path, clickhouse: ClickHouse, reserve_bytes: int, owed_bytes: Callable[[], int]) -> None:
        self._folder = folder
        self._clickhouse = clickhouse
        self._reserve_bytes = reserve_bytes
        self._owed_bytes = owed_bytes
        self._spaces: dict[str, Space] = {}
        self._spool_seen_s = self._clickhouse_seen_s = -BELIEVED_S

    def spaces(self) -> list[Space]:
        """The disks as they are known now; ClickHouse's is missing while it has not told."""
        self._look_at_spool()
        now_s = time.monotonic()
        if now_s - self._clickhouse_seen_s > BELIEVED_S:
            self._spaces.pop(CLICKHOUSE, None)
        return list(self._spaces.values())

    def short(self) -> Space | None:
        """A disk that has no room for more."""
        return next((space for space in self.spaces() if space.is_short), None)

    def require(self) -> None:
        """Raises StorageFull when a disk has no room for more."""
        space = self.short()
        if space is not None:
            whose = "the server's disk" if space.name == SPOOL else "ClickHouse's disk"
            raise StorageFull(
                f"{whose} is almost full; nothing was stored, send again later",
                headers={"Retry-After": str(_RETRY_AFTER_S)},
            )

    async def look_forever(self) -> None:
        """Ask ClickHouse again and again, until cancelled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(LOOK_SHORT_EVERY_S if self.short() else LOOK_EVERY_S)

    def look(self) -> None:
        """Ask ClickHouse for its disk; one that is away says nothing new."""
        try:
            found = self._clickhouse.query(_SPACE, settings={"max_execution_time": 5}).result_rows
        except (MetristError, ClickHouseError, OSError) as error:
            log.debug("disk_not_asked", error=type(error).__name__)
            return
        if found:
            free_bytes, total_bytes = map(int, found[0])
            self._note(CLICKHOUSE, free_bytes, total_bytes, self._reserve_bytes + self._owed_bytes())
            self._clickhouse_seen_s = time.monotonic()

    def _look_at_spool(self) -> None:
        now_s = time.monotonic()
        if now_s - self._spool_seen_s < _LOOK_AT_SPOOL_S:
            return
        self._spool_seen_s = now_s
        usage = os.statvfs(self._folder)
        free_bytes, total_bytes = usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize
        self._note(SPOOL, free_bytes, total_bytes, self._reserve_bytes)

    def _note(self, name: str, free_bytes: int, total_bytes: int, needed_bytes: int) -> None:
        before = self._spaces.get(name)
        was_short = before is not None and before.is_short
        space = judge(name, free_bytes, total_bytes, needed_bytes, was_short=was_short)
        self._spaces[name] = space
        if space.is_short != was_short:
            tell = log.error if space.is_short else log.warning
            tell("disk_short" if space.is_short else "disk_free_again", disk=name, free=free_bytes, needed=needed_bytes)


_SPACE = (files("schema") / "queries" / "disk_space.sql").read_text("utf-8")
