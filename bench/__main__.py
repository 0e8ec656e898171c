"""`make bench`: the reference workload in and out, pings, a fleet; the same for VictoriaMetrics if installed."""

import argparse
import tempfile
import time
from pathlib import Path

from bench import (
    conditions,
    fleet,
    graphs,
    ingest,
    live,
    monitors,
    nodes_page,
    pings,
    reads,
    sizing,
    soak,
    victoria,
    year,
)
from bench.platform import Platform
from bench.report import Report
from bench.victoria import Victoria
from bench.workload import QUICK, W1, W2, Workload

IDLE_S = 60
PARTS = {
    "fleet": fleet.measure,
    "live": live.measure,
    "conditions": conditions.measure,
    "conditions-quick": conditions.measure_quickly,
    "monitors": monitors.measure,
}
"""Those that need to be told nothing more."""


def main() -> None:
    """Run what the arguments name; prints JSON lines and appends to RESULTS.md."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--parts",
        default="idle,w1,reads,w2,pings,fleet",
        help="comma-separated: idle, quick, w1, reads, w2, pings, fleet, nodes, live, year, conditions, "
        "conditions-quick, monitors, soak, sizing",
    )
    parser.add_argument(
        "--folder", type=Path, help="where the workload's files are kept (default: /dev/shm or the temp dir)"
    )
    parser.add_argument("--tree", type=Path, help="an older checkout, for `nodes` to compare with")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long `soak` lasts")
    parser.add_argument("--dry", action="store_true", help="do not append to RESULTS.md")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    folder = arguments.folder or _memory_folder()
    report = Report()
    if "idle" in parts:
        _idle(report)
    for name, workload in (("quick", QUICK), ("w1", W1), ("w2", W2)):
        if name in parts:
            _workload(report, workload, folder, has_reads=name == "w1" and "reads" in parts)
    if "pings" in parts:
        with Platform() as platform:
            pings.enrol(platform)
            pings.measure(report, platform, per_s=1_000, samples_per_s=0, seconds=10)
            pings.measure(report, platform, per_s=1_000, samples_per_s=200_000, seconds=20)
    for name, measure in PARTS.items():
        if name in parts:
            measure(report)
    if "year" in parts:
        _year(report)
    if "sizing" in parts:
        sizing.measure(report, folder)
    if "soak" in parts:
        soak.measure(report, arguments.minutes)
    if "nodes" in parts:
        nodes_page.measure(report, "nodes page")
        if arguments.tree:
            nodes_page.measure(report, "older nodes page", arguments.tree)
            nodes_page.compare(report, "older nodes page", "nodes page")
    if not arguments.dry:
        report.close(f"make bench ARGS='--parts {arguments.parts}'")


def _year(report: Report) -> None:
    with Platform() as platform:
        began = time.perf_counter()
        rows = year.load(platform)
        report.figure("year loaded", rows / 1e6, "M rows")
        report.figure("year loaded in", time.perf_counter() - began, "s")
        report.figure("year on disk", sum(platform.disk_bytes().values()) / 1e9, "GB")
        graphs.measure(report, platform)


def _workload(report: Report, workload: Workload, folder: Path, *, has_reads: bool) -> None:
    files = workload.write(folder)
    with Platform() as platform:
        ingest.ours(report, platform, workload, files)
        if has_reads:
            reads.ours(report, platform.client)
    if not victoria.is_installed():
        print("victoria-metrics is not installed: no peer in this run")
        return
    with Victoria() as peer:
        ingest.victorias(report, peer, workload, files)
        if has_reads:
            reads.victorias(report, peer.client)
    ingest.compare(report, workload)


def _idle(report: Report) -> None:
    with Platform(has_agent=True) as platform:
        time.sleep(IDLE_S)
        for name, size in platform.family.rss_mb().items():
            report.figure(f"idle RSS {name}", size, "MB", "≤ 700" if name == "total" else "")


def _memory_folder() -> Path:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


if __name__ == "__main__":
    main()
