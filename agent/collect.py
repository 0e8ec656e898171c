"""One snapshot of this machine, part by part."""

import math
import time
from collections.abc import Callable, Mapping

from agent.parts import Metrics, Part
from agent.parts.cpu import Cpu
from agent.parts.disks import DiskTraffic, DiskUse
from agent.parts.memory import Swap, read_memory
from agent.parts.network import Network
from agent.parts.own import Own
from agent.parts.sensors import read_battery, read_fans, read_temperatures
from agent.parts.system import read_load, read_open_files, read_processes, read_uptime
from agent.seldom import Seldom


def parts(buffered_snapshots: Callable[[], int]) -> dict[str, Part]:
    """Every part that is measured, by the name its failures are logged under."""
    return {
        "cpu": Cpu().read,
        "load": read_load,
        "memory": read_memory,
        "swap": Swap().read,
        "disk use": DiskUse().read,
        "disk traffic": DiskTraffic().read,
        "network": Network().read,
        "processes": read_processes,
        "open files": read_open_files,
        "uptime": read_uptime,
        "temperatures": read_temperatures,
        "fans": read_fans,
        "battery": read_battery,
        "agent": Own(buffered_snapshots).read,
    }


class Collector:
    """Reads all parts; one that fails costs only its own metrics."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = parts
        self._seldom = Seldom(period_s=math.inf)

    def collect(self) -> Metrics:
        """Every metric that can be read now; finite, rounded to a thousandth."""
        metrics: Metrics = {}
        for name, read in self._parts.items():
            try:
                metrics |= read(time.monotonic())
            except Exception as error:  # whatever a stranger's machine does: the other parts go on
                self._seldom.warn(f"{name} {type(error).__name__}", f"{name} cannot be measured: {error!r}")
        return {series: round(value, 3) for series, value in metrics.items() if math.isfinite(value)}
