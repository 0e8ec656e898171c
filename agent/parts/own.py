"""What the agent itself costs."""

import time
from collections.abc import Callable

import psutil

from agent.parts import Metrics
from agent.rates import Rates


class Own:
    """Memory and processor time of this process, and what waits to be sent."""

    def __init__(self, buffered_snapshots: Callable[[], int]) -> None:
        self._buffered_snapshots = buffered_snapshots
        self._process = psutil.Process()
        self._rates = Rates()

    def read(self, now_s: float) -> Metrics:
        """`agent.*`; the processor's percent is of one core."""
        return {
            "agent.rss_bytes": self._process.memory_info().rss,
            "agent.buffered_snapshots": self._buffered_snapshots(),
            **self._rates.update({"agent.cpu_percent": 100 * time.process_time()}, now_s),
        }
