"""Ten thousand agents: what a ping takes, what it costs, and how they all come back after an outage of ours."""

import time
from dataclasses import dataclass

from bench.agents import Fleet, Plan, Tally, largest
from bench.platform import Platform
from bench.registry import Registry
from bench.report import Report

SIZE = 10_000
BESIDE = 4_000
"""Whose pings and snapshots come one by one: about half of what one API process answers (1,600 requests a second)."""
ENROLLED_WITHIN_S = 300
STEADY_S = 120
OUTAGE_S = 60
BACK_WITHIN_S = 180
FOUND_WITHIN_S = 60 + 30 + 15
"""Grace, the silence from which a node is late, and some sweeps: by then a false late would have shown."""


@dataclass(frozen=True)
class Costs:
    """CPU seconds by process at one instant."""

    at_s: float
    fleet_s: float
    pieces_s: dict[str, float]


def measure(report: Report) -> None:
    """A fleet whose pings are held, as the agent's are; then plain pings with snapshots beside them."""
    with Platform() as platform:
        fleet = Fleet(Plan(*platform.address, platform.key, waits=True), SIZE).start()
        _enrol(report, platform, fleet)
        _steady(report, platform, fleet, "fleet held")
        for name, size in platform.family.rss_mb().items():
            report.figure(f"fleet RSS {name}", size, "MB")
        _herd(report, platform, fleet)
        fleet.stop()
    with Platform() as platform:
        plan = Plan(*platform.address, platform.key, snapshot_every_s=10)
        size = min(BESIDE, largest(connections=2))
        report.figure("fleet plain with snapshots agents", size, "agents")
        fleet = Fleet(plan, size).start()
        _until_all_heard(platform, time.time(), ENROLLED_WITHIN_S, size)
        _steady(report, platform, fleet, "fleet plain with snapshots")
        fleet.stop()


def _enrol(report: Report, platform: Platform, fleet: Fleet) -> None:
    """Everybody at once on an empty platform: each first ping registers a node."""
    report.figure("fleet enrolled", _until_all_heard(platform, time.time(), ENROLLED_WITHIN_S), "s")
    _failures(report, "fleet enrolling", fleet.take()[0])


def _steady(report: Report, platform: Platform, fleet: Fleet, name: str) -> None:
    time.sleep(3 * fleet.plan.interval_s)
    fleet.take()
    before = _costs(platform, fleet)
    time.sleep(STEADY_S)
    pings, snapshots = fleet.take()
    after = _costs(platform, fleet)
    took_s = after.at_s - before.at_s
    report.figure(f"{name} pings", pings.per_s, "pings/s", "a tenth of the agents")
    for q, label in ((0.5, "p50"), (0.99, "p99"), (1.0, "max")):
        report.figure(f"{name} ping {label}", pings.quantile_ms(q), "ms", "≤ 50" if label == "p99" else "")
    _failures(report, name, pings)
    if fleet.plan.snapshot_every_s:
        report.figure(f"{name} snapshots", snapshots.per_s, "snapshots/s", "a tenth of the agents")
        report.figure(f"{name} snapshot p99", snapshots.quantile_ms(0.99), "ms")
    for piece, cpu_s in after.pieces_s.items():
        report.figure(f"{name} CPU {piece}", (cpu_s - before.pieces_s.get(piece, 0.0)) / took_s, "cores")
    report.figure(f"{name} CPU simulator", (after.fleet_s - before.fleet_s) / took_s, "cores")


def _herd(report: Report, platform: Platform, fleet: Fleet) -> None:
    """Everything of ours ends and is away for a minute; then all agents are back at once."""
    platform.stop()
    time.sleep(OUTAGE_S)
    fleet.take()
    platform.start()
    report.figure("fleet herd all heard again", _until_all_heard(platform, time.time(), BACK_WITHIN_S), "s", "≤ 60")
    pings, _ = fleet.take()
    report.figure("fleet herd ping p99", pings.quantile_ms(0.99), "ms")
    _failures(report, "fleet herd", pings)
    time.sleep(FOUND_WITHIN_S)
    with Registry(platform.data) as registry:
        report.figure("fleet herd false late or offline", len(registry.moves()), "nodes", "0")


def _failures(report: Report, name: str, tally: Tally) -> None:
    report.figure(f"{name} failed tries", tally.failures.total(), "pings")


def _costs(platform: Platform, fleet: Fleet) -> Costs:
    return Costs(time.monotonic(), fleet.cpu_s(), platform.family.cpu_by_piece_s())


def _until_all_heard(platform: Platform, since_s: float, within_s: float, size: int = SIZE) -> float:
    """Wait until every agent was heard since then, Unix s; returns how long after that it was."""
    give_up_s = since_s + within_s
    with Registry(platform.data) as registry:
        while (heard := registry.heard_since(since_s)) < size:
            if time.time() > give_up_s:
                raise TimeoutError(f"after {within_s:g} s only {heard} of {size} agents were heard")
            time.sleep(1.0)
    return time.time() - since_s
