"""The reference workload in: how fast until every sample can be read, at what CPU, on how much disk."""

import time
from pathlib import Path

from bench.platform import TIERS, Platform
from bench.processes import quiet_cpu
from bench.report import Report
from bench.send import Sent, post_all
from bench.victoria import Victoria
from bench.workload import START_S, Workload

CONNECTIONS = 4


def ours(report: Report, platform: Platform, workload: Workload, folder: Path) -> None:
    """Post NDJSON bodies with the durable acknowledgement and both rollups."""
    bodies = [path.read_bytes() for path in sorted(folder.glob("*.ndjson"))]
    headers = {"Authorization": f"Bearer {platform.key}", "Content-Type": "application/x-ndjson"}
    platform.clear()
    cpu_before = quiet_cpu(platform.family)
    began = time.perf_counter()
    sent = post_all(*platform.address, "/api/v1/snapshots", bodies, headers, CONNECTIONS)
    done = platform.wait_for(workload.samples)
    cpu_readable = platform.family.cpu_s() - cpu_before
    cpu_merged = quiet_cpu(platform.family) - cpu_before
    name = f"{workload.name} metrist"
    _speed(report, name, workload, sent, done - began)
    report.figure(f"{name} CPU until readable", cpu_readable / workload.samples * 1e6, "µs/sample", "≤ 1.2")
    report.figure(f"{name} CPU with merges", cpu_merged / workload.samples * 1e6, "µs/sample")
    platform.merge()
    disk = platform.disk_bytes()
    report.figure(f"{name} disk raw", disk["samples"] / workload.samples, "bytes/sample", "≤ 1.3")
    report.figure(f"{name} disk all tiers", sum(disk[tier] for tier in TIERS) / workload.samples, "bytes/sample")


def victorias(report: Report, victoria: Victoria, workload: Workload, folder: Path) -> None:
    """Post Influx lines; it acknowledges before the data is safe and keeps no rollups."""
    bodies = [path.read_bytes() for path in sorted(folder.glob("*.influx"))]
    cpu_before = quiet_cpu(victoria.family)
    began = time.perf_counter()
    sent = post_all("127.0.0.1", victoria.port, "/write", bodies, {}, CONNECTIONS)
    done = victoria.wait_for(workload.samples, workload.end_s, workload.end_s - START_S)
    cpu_readable = victoria.family.cpu_s() - cpu_before
    name = f"{workload.name} victoria"
    _speed(report, name, workload, sent, done - began)
    report.figure(f"{name} CPU until readable", cpu_readable / workload.samples * 1e6, "µs/sample")
    report.figure(
        f"{name} CPU with merges", (quiet_cpu(victoria.family) - cpu_before) / workload.samples * 1e6, "µs/sample"
    )
    report.figure(f"{name} disk", victoria.disk_bytes() / workload.samples, "bytes/sample")


def compare(report: Report, workload: Workload) -> None:
    """Ratios of the figures of one run."""
    ours_, theirs = f"{workload.name} metrist", f"{workload.name} victoria"
    report.ratio(f"{workload.name} ingest ratio", f"{ours_} readable", f"{theirs} readable", "≥ 1.0")
    report.ratio(f"{workload.name} CPU ratio", f"{ours_} CPU until readable", f"{theirs} CPU until readable", "")


def _speed(report: Report, name: str, workload: Workload, sent: Sent, readable_s: float) -> None:
    assert set(sent.codes) <= {202, 204, 503}, sent.codes
    report.figure(f"{name} acknowledged", workload.samples / sent.took_s / 1e6, "M samples/s")
    report.figure(f"{name} readable", workload.samples / readable_s / 1e6, "M samples/s")
    report.figure(f"{name} request p50", sent.quantile_ms(0.5), "ms")
    report.figure(f"{name} request p99", sent.quantile_ms(0.99), "ms")
