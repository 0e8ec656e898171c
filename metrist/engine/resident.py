"""What of chDB's program stays in memory: what is used, not what the start alone has touched."""

import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

log = structlog.get_logger()
AFTER_S = 30
_DONTNEED = 4
"""MADV_DONTNEED of <sys/mman.h>, the same on every Linux."""


def forget_start_later(library: str) -> threading.Timer:
    """Let go of what the start touched of a library's code, once it is over; returns the running timer."""
    timer = threading.Timer(AFTER_S, forget, [library])
    timer.daemon = True
    timer.start()
    return timer


def forget(library: str) -> None:
    """Unmap the pages of a library's code.

    Opening chDB runs through 170 MB of its code: it registers thousands of functions, formats and settings. What is
    used again comes back from the page cache, 64 KB at 1 µs each; nothing is read from disk. Only mappings that cannot
    be written to and hold code are unmapped, so nothing is lost that is not in the file.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    for start, end in _code(library):
        if libc.madvise(start, end - start, _DONTNEED):
            log.warning("code_not_forgotten", error=os.strerror(ctypes.get_errno()))


def _code(library: str) -> Iterator[tuple[int, int]]:
    """Where a library's code lies, by address."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        addresses, rights, *_, path = line.split(maxsplit=5)
        if rights == "r-xp" and path == library:
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
