"""A loop's own sign of life: it beats while the loop turns, however long its answers take, and stops when it hangs.

`metrist up` opens a pipe and hands its writing end to the child; what comes through it was written by a turn of the
child's loop. A thread would go on beating beside a loop that hangs, so none may write here.
"""

import asyncio
import fcntl
import os
from contextlib import suppress

FD_VARIABLE = "METRIST_PULSE_FD"
EVERY_S = 0.5
_DRAIN_BYTES = 65_536
_FIRST_FD = 10
"""The child gets it under the same number, and a passed socket at `tether.FIRST_LISTEN_FD`."""


class Pulse:
    """The watcher's side, from before the child is started until it is gone."""

    def __init__(self) -> None:
        self._reads, writes = os.pipe()
        self.writes_fd = fcntl.fcntl(writes, fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)
        os.close(writes)
        os.set_blocking(self._reads, False)
        os.set_blocking(self.writes_fd, False)

    def has_beaten(self) -> bool:
        """Whether the loop turned since this was asked before."""
        with suppress(BlockingIOError):
            return bool(os.read(self._reads, _DRAIN_BYTES))
        return False

    def hand_over(self) -> None:
        """The child holds its end: close ours, so that nothing stays open when it ends."""
        os.close(self.writes_fd)

    def close(self) -> None:
        os.close(self._reads)


def handed_over() -> int | None:
    """The pipe that `metrist up` has opened for this process, if it has; no child of ours gets it."""
    text = os.environ.pop(FD_VARIABLE, "")
    if not text.isdecimal():
        return None
    os.set_inheritable(int(text), False)
    return int(text)


async def beat_forever(fd: int) -> None:
    """Beat with every turn of the loop that is due, until cancelled; a watcher that is gone is no reason to end."""
    while True:
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, b".")
        await asyncio.sleep(EVERY_S)
