"""An hour of a platform's ordinary day: does anything grow that should not?

200 simulated agents ping and post, a real one runs monitors, people look at pages, graphs, streams and live views,
conditions are judged, fire and tell a webhook. Each minute everything is measured; what is judged are the last two
thirds, when caches are filled: by the median of all slopes between two looks (Theil and Sen), which one peak does not
move. Every memory that is bounded by time is set to ten minutes, so that it is full before the judging begins.
"""

import contextlib
import http.server
import json
import os
import socketserver
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import combinations, pairwise
from pathlib import Path

from sqlalchemy import Engine

from bench.agents import Fleet, Plan
from bench.nodes_page import sign_in
from bench.platform import Platform
from bench.registry import Registry
from bench.report import Report
from bench.visitors import Visitors
from bench.vitals import Vitals, take
from domain.channels import Kind, Secret, webhook_config
from domain.condition_specs import MetricRule, Spec
from domain.egress import parse_target
from domain.ids import AccountId
from domain.monitors import EVERY, Target
from domain.monitors import Spec as Script
from domain.query import Query
from domain.settings import Settings
from domain.webhooks import make_secret
from schema import channels, conditions, monitors, routes, sealing

AGENTS, POST_EVERY_S = 200, 10.0
CALM, RESTLESS = 40, 5
WATCHER = "watcher"
SETTINGS = {"METRIST_BATCH_MEMORY_S": "600", "METRIST_EGRESS_ALLOW": "127.0.0.1"}
ME = "user/soak"
SCRIPT = 'gauge("soak.turn", param("turn"))\nstatus("soak", "ok", "runs on " .. facts.node)\n'
MONITORS = 3

GROWS_MB_H, GROWS_SHARE_H = 4.0, 0.05
"""A process is flat when it grows by less than the larger of these in an hour: 4 MB, a twentieth of its size."""
FILES_H, FILES_SHARE_H = 3.0, 0.1
"""Merges open and close files all the time, and a busy hour opens more connections to Redis, up to the pool's bound."""
PARTS_MOST = 60
CONTROL_MB_H = 10.0
SPOOL_MB_MOST = 16.0
KEYS_SHARE_H = 0.1


def measure(report: Report, minutes: float, every_s: float = 60.0) -> None:
    """Run so long, then judge."""
    with Platform(has_agent=True, settings=SETTINGS) as platform, Registry(platform.data) as registry, _hook() as hook:
        _furnish(registry.control, registry.account_id, hook.url)
        fleet = Fleet(Plan(*platform.address, platform.key, waits=True, snapshot_every_s=POST_EVERY_S), AGENTS).start()
        nodes = [agent.name for agent in fleet.agents]
        with _watcher(platform) as watcher:
            _until_all_are_known(registry)
            fleet.take()
            with Visitors(platform, sign_in(platform), nodes, WATCHER) as visitors:
                looks = _watch(minutes, every_s, lambda: take(platform, registry.redis, {WATCHER: watcher}))
        pings, snapshots = fleet.take()
        fleet.stop()
    report.figure("soak lasted", (looks[-1].at_s - looks[0].at_s) / 60, "min")
    report.figure("soak snapshots", len(snapshots.took_s), "posts")
    report.figure("soak snapshots failed", snapshots.failures.total() + pings.failures.total(), "tries", "0")
    report.figure("soak pages, graphs and streams", sum(visitors.seen.values()) - visitors.seen["points"], "answers")
    failed = {what: count for what, count in visitors.seen.items() if what not in ("200", "points", "ReadTimeout")}
    print(json.dumps({"answers": failed, "tries": pings.failures + snapshots.failures}), flush=True)
    report.figure("soak answers that were not 200", sum(failed.values()), "answers", "0")
    report.figure("soak live points seen", visitors.seen["points"], "points")
    report.figure("soak webhooks received", hook.received, "posts")
    _judge(report, looks)


def _furnish(control: Engine, account_id: AccountId, url: str) -> None:
    """Conditions that stay calm, some that fire every minute or two and tell a webhook, and monitors."""
    now = datetime.now(UTC)
    for number in range(CALM + RESTLESS):
        is_calm = number < CALM
        query = Query("A", f"fleet.m{number % 10}", (f"node=agent-{number}",), over="avg" if is_calm else "last")
        rule = MetricRule(query, 60 if is_calm else 20, 10, ">", 2.0 if is_calm else 0.9)
        conditions.create(control, account_id, f"condition {number}", Spec(rule), now)
    secret = Secret(url, make_secret(os.urandom))
    draft = channels.Draft("hook", Kind.WEBHOOK, webhook_config(parse_target(url), "metrist", secret, None), secret)
    sealer = sealing.open_sealer(control, Settings(_env_file=None), now)
    hook = channels.create(control, account_id, draft, sealer, now, actor=ME)
    routes.create(control, account_id, routes.Draft((), (hook.id,), group_wait_s=0), now, actor=ME)
    for turn in range(MONITORS):
        script = Script(SCRIPT, interval_s=10, parameters={"turn": turn})
        monitors.create(control, account_id, f"soak-{turn}", script, Target(match=EVERY), now, actor=ME)
        monitors.push(control, account_id, f"soak-{turn}", now, actor=ME)


def _until_all_are_known(registry: Registry) -> None:
    deadline = time.monotonic() + 120
    while len(registry.states()) < AGENTS + 2:  # the one of this machine, and the watcher
        assert time.monotonic() < deadline, "not all agents were heard"
        time.sleep(0.5)


def _watch(minutes: float, every_s: float, look: Callable[[], Vitals]) -> list[Vitals]:
    """Look now, and then on schedule; each is printed, so that a run that is broken off has not been for nothing."""
    looks: list[Vitals] = []
    began = time.monotonic()
    while (due := began + len(looks) * every_s) <= began + minutes * 60:
        time.sleep(max(0.0, due - time.monotonic()))
        looks.append(look())
        print(json.dumps(looks[-1].as_json()), flush=True)
    return looks


def _judge(report: Report, looks: Sequence[Vitals]) -> None:
    """Slopes and peaks of the last two thirds; the last figure counts what is over its limit."""
    late = [look for look in looks if look.at_s >= looks[0].at_s + (looks[-1].at_s - looks[0].at_s) / 3]
    over = 0

    def growth(name: str, values: Sequence[float], unit: str, most: float) -> None:
        nonlocal over
        slope = slope_h([look.at_s for look in late], values)
        report.figure(f"soak {name}, at the end", statistics.median(values[-5:]), unit)
        report.figure(f"soak {name}, growth an hour", slope, f"{unit}/h", f"≤ {most:.3g}")
        over += slope > most

    def peak(name: str, values: Sequence[float], unit: str, most: float) -> None:
        nonlocal over
        report.figure(f"soak {name}, most", max(values), unit, f"≤ {most:.3g}")
        over += max(values) > most

    for name in late[-1].bodies:
        bodies = [look.bodies[name] for look in late if name in look.bodies]
        restarts = sum(one.pid != other.pid for one, other in pairwise(bodies))
        peak(f"{name}: restarts", [restarts + len(late) - len(bodies)], "", 0)
        if restarts or len(bodies) < len(late):
            continue
        rss = [body.rss_mb for body in bodies]
        growth(f"{name}: RSS", rss, "MB", max(GROWS_MB_H, GROWS_SHARE_H * statistics.median(rss)))
        for what, counts in (("open files", [one.fds for one in bodies]), ("threads", [one.threads for one in bodies])):
            growth(f"{name}: {what}", counts, what.split()[-1], max(FILES_H, FILES_SHARE_H * statistics.median(counts)))
    for table in sorted({table for look in late for table in look.parts}):
        peak(f"parts of {table}", [look.parts.get(table, 0) for look in late], "parts", PARTS_MOST)
    keys = [float(look.redis_keys) for look in late]
    growth("Redis keys", keys, "keys", KEYS_SHARE_H * statistics.median(keys))
    growth("Redis memory", [look.redis_mb for look in late], "MB", GROWS_MB_H)
    clients = [look.redis_clients for look in late]
    growth("Redis clients", clients, "clients", max(FILES_H, FILES_SHARE_H * statistics.median(clients)))
    growth("control DB", [look.control_mb for look in late], "MB", CONTROL_MB_H)
    peak("spool", [look.spool_mb for look in late], "MB", SPOOL_MB_MOST)
    report.figure("soak disk, growth an hour", slope_h([x.at_s for x in late], [x.disk_mb for x in late]), "MB/h")
    report.figure("soak, over their limit", over, "figures", "0")


def slope_h(at_s: Sequence[float], values: Sequence[float]) -> float:
    """The median slope between any two of them, an hour; 0 for fewer than two."""
    pairs = combinations(zip(at_s, values, strict=True), 2)
    slopes = [(b - a) / (to_s - from_s) for (from_s, a), (to_s, b) in pairs]
    return statistics.median(slopes) * 3_600 if slopes else 0.0


class _Hook(http.server.BaseHTTPRequestHandler):
    """Takes everything and says nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.received += 1  # type: ignore[attr-defined]
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a soak is long."""


class _HookServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    received = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/"


@contextmanager
def _hook() -> Iterator[_HookServer]:
    server = _HookServer(("127.0.0.1", 0), _Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def _watcher(platform: Platform) -> Iterator[int]:
    """A real agent that runs monitors, and is looked at live; its pid."""
    with tempfile.TemporaryDirectory(prefix="metrist-soak-") as folder:
        command = [sys.executable, "-m", "agent", "--server", platform.url, "--node", WATCHER, "--allow-monitors"]
        process = subprocess.Popen(
            [*command, "--state-dir", str(Path(folder) / "state")],
            env=os.environ | {"METRIST_KEY": platform.key},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield process.pid
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
