"""A moment in which nobody carries a spool into ClickHouse, so that what is taken of both is of one moment.

Who drains a spool holds the lock with others, around one INSERT and the removal of its segment; a backup holds it
alone, and meanwhile snapshots are still acknowledged into the spool. The locks are the kernel's: they end with their
process, however that ends, and leave nothing behind. They hold where the spools' folder is one: on one machine.
"""

import contextlib
import fcntl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from domain.errors import StoreUnavailable

HELD_MOST_S = 30.0
"""A backup that has held it for longer gives up what it has taken."""
WAITS_MOST_S = 2 * HELD_MOST_S
"""Who drains waits no longer: whoever holds it then is stuck, and what it takes is void."""
_LOOK_EVERY_S = 0.005


class Hold:
    """The lock of all spools below one folder: METRIST_SPOOL_DIR."""

    def __init__(self, folder: Path) -> None:
        self._turn = folder / "turn"
        self._hold = folder / "hold"

    @contextlib.contextmanager
    def shared(self, gives_up: Callable[[], bool]) -> Iterator[bool]:
        """For who drains; False when it gave up waiting. Two threads may be in it at once."""
        until = time.monotonic() + WAITS_MOST_S
        with self._turn.open("a") as turn, self._hold.open("a") as hold:
            # Who wants it alone takes the turn first: from then on nobody new comes in, and those inside leave.
            if not _lock(turn, fcntl.LOCK_SH, until, gives_up) or not _lock(hold, fcntl.LOCK_SH, until, gives_up):
                yield time.monotonic() >= until
                return
            fcntl.flock(turn, fcntl.LOCK_UN)
            yield True

    @contextlib.contextmanager
    def alone(self, within_s: float) -> Iterator[Callable[[], float]]:
        """For who takes a backup; gives how long it is held, seconds.

        Raises StoreUnavailable when another holds it, or an INSERT does not end in time; or at the end, when it was
        held for so long that who drains may have gone on.
        """
        until = time.monotonic() + within_s
        with self._turn.open("a") as turn, self._hold.open("a") as hold:
            if not _lock(turn, fcntl.LOCK_EX, until) or not _lock(hold, fcntl.LOCK_EX, until):
                raise StoreUnavailable("The spool did not come to rest: another backup is taken, or an INSERT is stuck")
            began = time.monotonic()
            yield lambda: time.monotonic() - began
            if time.monotonic() - began > HELD_MOST_S:
                raise StoreUnavailable(f"Taking one moment lasted more than {HELD_MOST_S:.0f} s: try it again")


def _lock(file: TextIO, kind: int, until: float, gives_up: Callable[[], bool] = lambda: False) -> bool:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        if gives_up() or time.monotonic() >= until:
            return False
        time.sleep(_LOOK_EVERY_S)
