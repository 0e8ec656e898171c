"""What a process needs that serves ten thousand agents: as many open files, and rare looks for garbage."""

import ctypes
import gc
import resource
import time

YOUNG, MIDDLE, OLD = 20_000, 20, 50
"""Python's own are 700, 10, 10. Each agent's connection keeps a few hundred objects alive, and a full collection
visits them all: with 10,000 agents half a second, every second, to find next to nothing."""


EVERY_S, SHARE = 30.0, 1 / 1000
"""How often all is looked through for garbage, and the share of a process's time that this may take."""


_ARENA_MAX, ARENAS = -8, 2
"""M_ARENA_MAX of <malloc.h>. glibc gives threads arenas of their own, where what they free waits for them alone;
Python's threads run one at a time anyway, so one for the main thread and one for all others do."""


def make_room() -> None:
    """Call once, when all is loaded, no thread runs and nothing is served yet."""
    _allow_files()
    _share_arenas()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)


def _allow_files() -> None:
    """As many as the system allows us at most; by default a login gives 1,024, and every agent is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _share_arenas() -> None:
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_ARENA_MAX, ARENAS)


class Tidier:
    """Full collections by the clock: streams that end leave cycles, which few new objects would let lie for hours.

    Then what lies free between two things in use goes back to the system: bodies and answers of all sizes come and
    go among what stays, and glibc by itself gives back only what is free at the very end (17 MB an hour of holes).

    What one takes grows with the agents that are connected: milliseconds for a few, half a second for ten thousand.
    The next one waits the longer for it, so that they take a thousandth of the time, however many there are.
    """

    def __init__(self) -> None:
        self._due_s = time.monotonic() + EVERY_S

    def turn(self) -> None:
        """Tidy when it is time."""
        began_s = time.monotonic()
        if began_s < self._due_s:
            return
        gc.collect()
        give_back()
        ended_s = time.monotonic()
        self._due_s = ended_s + max(EVERY_S, (ended_s - began_s) / SHARE)


def give_back() -> None:
    """Give the system all whole pages that are free, in whatever arena (malloc_trim, glibc 2.8); elsewhere nothing."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
