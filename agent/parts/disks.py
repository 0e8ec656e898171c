"""Disks: how full each file system is, and how busy each device."""

import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from agent.keys import key
from agent.parts import Metrics
from agent.rates import Rates
from agent.seldom import Seldom

# Read-only images are always full.
IMAGES = frozenset({"squashfs", "erofs", "iso9660", "udf", "cramfs"})
# Loop and ram devices repeat what a disk or the memory already shows.
NO_DISKS = ("loop", "ram", "zram", "fd", "sr")


class DiskUse:
    """Used and free space of each mounted device."""

    def __init__(self) -> None:
        self._seldom = Seldom()

    def read(self, _now_s: float) -> Metrics:
        """`disk.*{device=,mount=}` of every real file system."""
        metrics: Metrics = {}
        for device, mount in mounted():
            try:
                metrics |= _use(device, mount)
            except OSError as error:  # unmounted since, or not ours to look at
                self._seldom.warn(mount, f"the file system on {mount!r} cannot be measured: {error.strerror}")
        return metrics


def mounted() -> list[tuple[str, str]]:
    """(device, mount) of every file system on a device of this machine, once per device.

    Network file systems are left out: a server that is gone would hang the agent in the kernel.
    """
    shortest: dict[str, str] = {}
    for part in psutil.disk_partitions(all=False):
        if part.fstype in IMAGES:
            continue
        known = shortest.get(part.device)
        if known is None or len(part.mountpoint) < len(known):
            shortest[part.device] = part.mountpoint
    if "/" not in shortest.values():  # in a container the root is an overlay on no device
        shortest["root"] = "/"
    return sorted(shortest.items())


def _use(device: str, mount: str) -> Metrics:
    labels = {"device": device.removeprefix("/dev/"), "mount": mount}
    use = psutil.disk_usage(mount)
    metrics: Metrics = {
        key("disk.total_bytes", **labels): use.total,
        key("disk.used_bytes", **labels): use.used,
        key("disk.free_bytes", **labels): use.free,
        key("disk.used_percent", **labels): use.percent,
    }
    inodes = os.statvfs(mount)
    if inodes.f_files:  # btrfs and others make inodes as they need them and report 0
        used = 100 * (inodes.f_files - inodes.f_ffree) / inodes.f_files
        metrics[key("disk.inodes_used_percent", **labels)] = used
    return metrics


class DiskTraffic:
    """Reads, writes and busy time of each device."""

    def __init__(self) -> None:
        self._rates = Rates()

    def read(self, now_s: float) -> Metrics:
        """`disk.*_per_s{device=}` and `disk.busy_percent{device=}` of whole devices that were ever used."""
        counters = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
        totals: Metrics = {}
        for device in whole_disks(counters):
            now = counters[device]
            totals[key("disk.read_bytes_per_s", device=device)] = now.read_bytes
            totals[key("disk.written_bytes_per_s", device=device)] = now.write_bytes
            totals[key("disk.reads_per_s", device=device)] = now.read_count
            totals[key("disk.writes_per_s", device=device)] = now.write_count
            if hasattr(now, "busy_time"):  # milliseconds; 10 of them per second are 1 %
                totals[key("disk.busy_percent", device=device)] = now.busy_time / 10
        rates = self._rates.update(totals, now_s)
        # The kernel's clock for busy time runs a little apart from ours.
        return {name: min(rate, 100.0) if "busy_percent" in name else rate for name, rate in rates.items()}


def whole_disks(devices: Iterable[str]) -> list[str]:
    """The devices that are no partition of another one."""
    blocks = Path("/sys/block")
    names = [name for name in devices if not name.startswith(NO_DISKS)]
    if not blocks.is_dir():
        return sorted(names)
    return sorted(name for name in names if (blocks / name.replace("/", "!")).exists())
