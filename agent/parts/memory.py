"""Memory and swap."""

import psutil

from agent.parts import Metrics
from agent.rates import Rates

MEMORY_KINDS = ("total", "available", "used", "free", "buffers", "cached", "shared", "slab")


def read_memory(_now_s: float) -> Metrics:
    """`mem.*_bytes`, as many kinds as this system counts, and `mem.used_percent` (what is not available)."""
    memory = psutil.virtual_memory()
    metrics: Metrics = {f"mem.{kind}_bytes": getattr(memory, kind) for kind in MEMORY_KINDS if hasattr(memory, kind)}
    return {**metrics, "mem.used_percent": memory.percent}


class Swap:
    """Swap space, and the traffic to and from it."""

    def __init__(self) -> None:
        self._rates = Rates()

    def read(self, now_s: float) -> Metrics:
        """`swap.*`; all zero on a machine without swap."""
        swap = psutil.swap_memory()
        traffic = {"swap.in_bytes_per_s": swap.sin, "swap.out_bytes_per_s": swap.sout}
        return {
            "swap.total_bytes": swap.total,
            "swap.used_bytes": swap.used,
            "swap.free_bytes": swap.free,
            "swap.used_percent": swap.percent,
            **self._rates.update(traffic, now_s),
        }
