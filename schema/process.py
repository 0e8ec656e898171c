"""What the kernel says of this process: memory, open files, processor time."""

import resource
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from domain import metering
from domain.metering import Family

_STARTED_S: Final = time.time()
_PAGE_BYTES: Final = resource.getpagesize()


def families() -> Iterator[Family]:
    """As figures, under the names that Prometheus's own clients use; what this system does not tell is left out."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield metering.counter("process_cpu_seconds", "Processor time", usage.ru_utime + usage.ru_stime)
    yield metering.gauge("process_start_time_seconds", "When the process started, Unix time", _STARTED_S)
    yield metering.gauge("process_threads", "Threads", threading.active_count())
    if (resident := resident_bytes()) is not None:
        yield metering.gauge("process_resident_memory_bytes", "Memory that is resident", resident)
    if (files := open_files()) is not None:
        yield metering.gauge("process_open_fds", "Open files and sockets", files)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY:
        yield metering.gauge("process_max_fds", "Open files and sockets allowed at most", limit)


def resident_bytes() -> int | None:
    """None where there is no /proc."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return None


def open_files() -> int | None:
    """None where there is no /proc."""
    try:
        return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # less the one that lists
    except OSError:
        return None
