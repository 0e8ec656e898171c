"""Keep one piece running: wait until it is healthy, start it again when it falls or hangs."""

import asyncio
import math
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from domain.errors import StartRefused
from metrist import orphans
from metrist.backoff import delay_s, failures_after
from metrist.child import Child, Piece, spawn
from metrist.environment import INVALID_SETTINGS_EXIT

log = structlog.get_logger()

FAILURES_AT_START = 5
MISSES_AT_LEAST = 3
"""A machine that slept has a gap in its clock, and no hung child."""


@dataclass(frozen=True)
class Patience:
    """How long a child may be silent.

    starting_s  until its first healthy answer; replaying a long log or spool takes its time
    hung_s      without one, once it has been healthy
    busy_s      the same while its loop still beats: it has a whole fleet before it, and to end it for being slow would
                make the fleet come back all at once; but a loop that answers nobody for so long is of no use either
    """

    starting_s: float = 120.0
    hung_s: float = 30.0
    busy_s: float = 300.0
    ask_starting_s: float = 0.05
    ask_running_s: float = 2.0


@dataclass
class Silence:
    """How long a child has not answered, and its loop not turned; by the monotonic clock."""

    answered_at: float
    beaten_at: float = -math.inf
    misses: int = 0
    is_ready: bool = False

    def note(self, now: float, *, answered: bool, beaten: bool) -> None:
        """What came of one question."""
        self.misses += 1
        if answered:
            self.is_ready, self.answered_at, self.misses = True, now, 0
        if beaten:
            self.beaten_at = now

    def too_long(self, patience: Patience, now: float) -> str:
        """Why the child must be ended; "" while it need not."""
        if self.misses < MISSES_AT_LEAST:
            return ""
        limit_s = patience.hung_s if self.is_ready else patience.starting_s
        if now - max(self.answered_at, self.beaten_at) > limit_s:
            return f"no answer for {limit_s:.0f} s"
        if now - self.answered_at > max(patience.busy_s, limit_s):
            return f"busy, and no answer for {patience.busy_s:.0f} s"
        return ""


class Watch:
    """One piece and the child that runs it now."""

    def __init__(self, piece: Piece, data_dir: Path, patience: Patience | None = None) -> None:
        self.piece = piece
        self._data_dir = data_dir
        self._patience = patience or Patience()
        self._child: Child | None = None
        self._spawning: asyncio.Task[Child] | None = None
        self._failures = 0
        self.restarts = 0
        self._healthy_once: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._healthy_once.add_done_callback(lambda future: future.cancelled() or future.exception())
        self._task = asyncio.create_task(self._keep_running())

    async def ready(self) -> None:
        """Wait for the first healthy answer. Raises StartRefused when it will not come."""
        await asyncio.shield(self._healthy_once)

    async def stop(self, within_s: float) -> None:
        """Stop watching, then stop the child."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if self._spawning is not None:  # a child that was just being started must not be left behind
            self._child = await self._spawning
        if self._child is not None:
            await self._child.stop(within_s)

    def kill(self) -> None:
        """End the child at once; the operator insists."""
        self._task.cancel()
        if self._child is not None:
            orphans.kill_group(self._child.pid)

    async def _keep_running(self) -> None:
        while True:
            started = time.monotonic()
            self._spawning = asyncio.create_task(spawn(self.piece, self._data_dir))
            self._child = await asyncio.shield(self._spawning)
            reason = await self._until_down(self._child)
            self._failures = failures_after(self._failures, time.monotonic() - started)
            if self._gives_up(self._child):
                self._healthy_once.set_exception(StartRefused(f"{self.piece.name} does not start: {reason}"))
                return
            delay = delay_s(self._failures, random.random())  # noqa: S311
            log.warning(f"{self.piece.name}_failed", reason=reason, restarts_in_s=round(delay, 2))
            await asyncio.sleep(delay)
            self.restarts += 1

    async def _until_down(self, child: Child) -> str:
        """Ask again and again; returns why the child is no longer there."""
        patience, silence = self._patience, Silence(time.monotonic())
        while not child.exited.done():
            silence.note(time.monotonic(), answered=await self._answers(child), beaten=child.has_beaten())
            if silence.is_ready:
                self._note_health()
            if reason := silence.too_long(patience, time.monotonic()):
                orphans.kill_group(child.pid)
                await child.exited
                return reason
            ask_s = patience.ask_running_s if silence.is_ready else patience.ask_starting_s
            await asyncio.wait({child.exited}, timeout=ask_s)
        return child.reason()

    async def _answers(self, child: Child) -> bool:
        """Ask once; a child that ends meanwhile will not answer, though its socket, held by us, takes the question."""
        asking = asyncio.ensure_future(self.piece.check())
        both: list[asyncio.Future[Any]] = [asking, child.exited]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if asking.done():
            return asking.result()
        asking.cancel()
        return False

    def _note_health(self) -> None:
        if not self._healthy_once.done():
            self._healthy_once.set_result(None)

    def _gives_up(self, child: Child) -> bool:
        """Before it was ever healthy, a piece that cannot start ends the whole start."""
        refused = child.exited.result() == INVALID_SETTINGS_EXIT or self._failures >= FAILURES_AT_START
        return refused and not self._healthy_once.done()
