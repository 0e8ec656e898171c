"""What a platform needs by how many nodes report how many metrics how often: processors, memory, and disk by tier.

Memory and processor time are measured while a simulated fleet reports at the pace of real agents, pings held; disk on
the reference workload, which is written at once, merged, and counted by row. docs/operating.md has the table.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from bench.agents import Fleet, Plan
from bench.platform import TIERS, Platform
from bench.registry import Registry
from bench.report import Report
from bench.send import post_all
from bench.workload import W1

KNOWN_WITHIN_S = 300
SETTLE_S, MEASURE_S = 45, 90
CONNECTIONS = 4


@dataclass(frozen=True)
class Size:
    """So many nodes report so many metrics every so often."""

    nodes: int
    metrics: int
    every_s: int

    @property
    def name(self) -> str:
        return f"sizing {self.nodes:,} nodes × {self.metrics} metrics / {self.every_s} s"


SIZES = (Size(10, 100, 10), Size(100, 100, 10), Size(1_000, 100, 10), Size(1_000, 100, 60), Size(3_000, 100, 10))


def measure(report: Report, folder: Path) -> None:
    """Every size on a platform of its own, then the disk; the workload's files are kept in `folder`."""
    for size in SIZES:
        with Platform() as platform:
            _running(report, platform, size)
    with Platform() as platform:
        _disk(report, platform, W1.write(folder))


def _running(report: Report, platform: Platform, size: Size) -> None:
    plan = Plan(*platform.address, platform.key, waits=True, snapshot_every_s=size.every_s, metrics=size.metrics)
    fleet = Fleet(plan, size.nodes).start()
    _until_known(platform, size.nodes)
    time.sleep(SETTLE_S)
    fleet.take()
    before, began = platform.family.cpu_by_piece_s(), time.monotonic()
    time.sleep(MEASURE_S)
    took_s = time.monotonic() - began
    after, (_, snapshots) = platform.family.cpu_by_piece_s(), fleet.take()
    rss = platform.family.rss_mb()
    fleet.stop()
    report.figure(f"{size.name}: samples", len(snapshots.took_s) * size.metrics / took_s, "samples/s")
    shares = {piece: (cpu_s - before.get(piece, 0.0)) / took_s for piece, cpu_s in after.items()}
    report.figure(f"{size.name}: CPU", sum(shares.values()), "cores")
    for piece in ("api", "engine"):
        report.figure(f"{size.name}: CPU of {piece}", shares[piece], "cores")
    report.figure(f"{size.name}: RSS", rss["total"], "MB")
    for piece in ("api", "engine"):
        report.figure(f"{size.name}: RSS of {piece}", rss[piece], "MB")


def _until_known(platform: Platform, nodes: int) -> None:
    deadline = time.monotonic() + KNOWN_WITHIN_S
    with Registry(platform.data) as registry:
        while (known := len(registry.states())) < nodes:
            assert time.monotonic() < deadline, f"only {known} of {nodes} nodes are known"
            time.sleep(1.0)


def _disk(report: Report, platform: Platform, files: Path) -> None:
    """Bytes a row of each tier, a day of 1,000 series that report every 10 s."""
    bodies = [path.read_bytes() for path in sorted(files.glob("*.ndjson"))]
    headers = {"Authorization": f"Bearer {platform.key}", "Content-Type": "application/x-ndjson"}
    post_all(*platform.address, "/api/v1/snapshots", bodies, headers, CONNECTIONS)
    platform.wait_for(W1.samples)
    platform.merge()
    sizes = platform.disk_bytes()
    for tier in TIERS:
        rows = int(str(platform.clickhouse.command(f"SELECT count() FROM {tier}")))
        report.figure(f"sizing disk of {tier}", sizes[tier] / rows, "bytes/row")
