"""Start pieces in order, keep them running, stop them in order."""

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path

from metrist.child import Piece
from metrist.watch import Patience, Watch

STOP_WITHIN_S = 9.0
"""For all pieces together; service managers and people lose patience at ten."""


class Supervisor:
    """The pieces of one platform, by name."""

    def __init__(self, data_dir: Path, patience: Patience | None = None) -> None:
        self._data_dir = data_dir
        self._patience = patience
        self._watches: dict[str, Watch] = {}
        self._restarts_before = 0

    async def start(self, *pieces: Piece) -> None:
        """Start pieces at once; returns when every one is healthy. Raises StartRefused."""
        watches = [Watch(piece, self._data_dir, self._patience) for piece in pieces]
        self._watches |= {watch.piece.name: watch for watch in watches}
        await asyncio.gather(*(watch.ready() for watch in watches))

    async def replace(self, piece: Piece) -> None:
        """End the piece of that name and start this one instead; returns when it is healthy. Raises StartRefused.

        One after the other, never both: a spool, a directory of tables, an agent's buffer has one owner.
        """
        old = self._watches[piece.name]
        await old.stop(old.piece.stop_within_s)
        self._restarts_before += old.restarts
        self._watches[piece.name] = Watch(piece, self._data_dir, self._patience)
        await self._watches[piece.name].ready()

    @property
    def names(self) -> list[str]:
        """The pieces that were started."""
        return list(self._watches)

    @property
    def restarts(self) -> int:
        """How often a piece had to be started again."""
        return self._restarts_before + sum(watch.restarts for watch in self._watches.values())

    async def stop(self, stages: Iterable[Iterable[str]]) -> None:
        """Stop stage after stage, each piece in its own time, all of them within STOP_WITHIN_S."""
        deadline = time.monotonic() + STOP_WITHIN_S
        for stage in stages:
            watches = [self._watches[name] for name in stage if name in self._watches]
            left_s = max(0.0, deadline - time.monotonic())
            await asyncio.gather(*(watch.stop(min(watch.piece.stop_within_s, left_s)) for watch in watches))

    def kill(self) -> None:
        """End everything at once."""
        for watch in self._watches.values():
            watch.kill()
