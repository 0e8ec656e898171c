"""The pieces of a `metrist up` follow the link `current`, one after the other, whenever it is set.

The link is all that there is to ask for: who wants another release sets it, who regrets that sets it back, also in the
middle. What came of it is told in a file (`metrist.releases.status`).
"""

import asyncio
import os
from contextlib import suppress

import structlog

from domain.errors import MetristError
from metrist import pieces
from metrist.pieces import Recipe
from metrist.releases import facts, status
from metrist.releases.facts import STORES, Program
from metrist.releases.shelf import Shelf
from metrist.releases.status import Status
from metrist.supervisor import Supervisor

log = structlog.get_logger()
LOOK_EVERY_S = 0.25


class Rotation:
    """Which release each piece runs, and the way to another."""

    def __init__(self, recipe: Recipe, supervisor: Supervisor, shelf: Shelf, address: str, running: Program) -> None:
        self._recipe = recipe
        self._supervisor = supervisor
        self._shelf = shelf
        self._told: Status | None = None
        self._now = Status(os.getpid(), address, running.facts.version, is_settled=True)
        self._runs = {name: _program_of(name, running) for name in supervisor.names}
        self._turning: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Look at the link until cancelled."""
        try:
            while True:
                wanted = self._shelf.current
                if wanted not in (None, self._now.version):
                    await self._give_up_turning()
                    self._note(version=wanted, is_settled=False, failure="")
                    self._turning = asyncio.create_task(self._turn_to(wanted))
                self._tell()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self._give_up_turning()
            status.forget(self._recipe.data)

    async def _turn_to(self, version: str) -> None:
        """Who asks last is turned first to what answers: stores, if they differ, then those who use them."""
        log.info("release_followed", version=version)
        try:
            python = self._shelf.python(version)
            release = Program(python, await asyncio.to_thread(facts.ask, python))
            for name in (name for name in pieces.START_ORDER if name in self._runs):
                if self._runs[name] != _program_of(name, release):
                    self._runs[name] = _program_of(name, release)
                    await self._supervisor.replace(self._recipe.make(name, release))
            self._note(is_settled=True)
        except MetristError as error:
            log.error("release_not_followed", version=version, reason=error.detail)
            self._note(failure=error.detail)

    async def _give_up_turning(self) -> None:
        if self._turning is not None:
            self._turning.cancel()
            with suppress(asyncio.CancelledError):
                await self._turning

    def _note(self, **changes: object) -> None:
        self._now = Status(**{**self._now.__dict__, **changes})

    def _tell(self) -> None:
        """A full disk must not stop the supervisor."""
        self._note(restarts=self._supervisor.restarts)
        if self._now != self._told:
            with suppress(OSError):
                status.write(self._recipe.data, self._now)
                self._told = self._now


def _program_of(name: str, release: Program) -> str:
    """What a piece runs, so that a store goes on when its own program is the same in both releases."""
    return str(getattr(release.facts, name)) if name in STORES else release.facts.version
