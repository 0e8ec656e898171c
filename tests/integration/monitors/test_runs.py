"""Runs beside each other: none waits for another, and the host's own metrics wait for none."""

from collections.abc import Callable
from itertools import pairwise

import psutil

from agent.monitors.allowed import Allowed
from tests.agent_server import until
from tests.hostile import HOSTILE
from tests.monitor_server import MonitorServer
from tests.running_agent import RunningAgent

Start = Callable[..., RunningAgent]

HOSTILE_NAMES = [name for name, (states, _) in HOSTILE.items() if "timeout" in states][:14]
HOSTILE_NAMES += ["bomb: doubling text", "bomb: big table", "bomb: many tables", "flood: log flood"]


def test_twenty_hostile_monitors_delay_nobody(server: MonitorServer, start: Start) -> None:
    """Each computes as long as it may, all at once; the agent, a quiet monitor and the host's metrics go on."""
    hostile = [
        {"name": f"h{number}", "script": HOSTILE[name][1], "limits": {"cpu_ms": 500, "memory_mb": 16}}
        for number, name in enumerate(HOSTILE_NAMES)
    ]
    asleep = [{"name": f"s{number}", "script": "tcp.check('127.0.0.1', 9, 60) while true do end"} for number in (1, 2)]
    server.publish(*hostile, *asleep, {"name": "quiet", "script": "gauge('m.quiet', 1)"})
    start(interval_s=1.0, monitors=Allowed(frozenset({"tcp"})))
    until(lambda: len({run["id"] for run in server.runs}) == len(hostile) + 3, "a report of each", 60)
    until(lambda: len(server.runs_of("quiet")) >= 3, "the quiet one three times", 30)
    assert all(run["state"] == "ok" for run in server.runs_of("quiet"))
    assert all(run["state"] != "ok" or run["log"] for name in range(18) for run in server.runs_of(f"h{name}"))
    gaps = host_gaps(server)
    assert max(gaps) < 2.0, f"a snapshot came more than a second late: {sorted(gaps)[-3:]}"


def test_a_counter_becomes_a_rate(server: MonitorServer, start: Start) -> None:
    server.publish({"name": "count", "script": "counter('m.count', facts.time * 10)"})
    start()
    until(lambda: rates(server), "a rate", 30)
    assert 9.9 < rates(server)[0] < 10.1


def test_a_monitor_that_needs_more_than_is_allowed_is_refused(server: MonitorServer, start: Start) -> None:
    server.publish({"name": "page", "script": "http.get('http://127.0.0.1:9/')", "capabilities": ["http", "exec"]})
    start(monitors=Allowed(frozenset({"http", "file"})))
    until(lambda: server.runs_of("page"), "a report")
    run = server.runs_of("page")[0]
    assert (run["state"], run["message"]) == ("refused", "this node does not allow exec")
    assert server.pings[-1]["agent"]["monitors"] == "file,http"


def test_stopping_does_not_wait_for_monitors(server: MonitorServer, start: Start) -> None:
    server.publish(*({"name": f"m{number}", "script": "while true do end"} for number in range(5)))
    others = set(psutil.Process().children())  # stores that other tests share
    agent = start()
    until(lambda: set(psutil.Process().children()) - others, "a child")
    assert agent.stop() < 5
    until(lambda: not set(psutil.Process().children()) - others, "the children's end", 20)


def host_gaps(server: MonitorServer) -> list[float]:
    """Seconds between the host's own snapshots."""
    at_s = sorted(snapshot["ts"] for snapshot in server.snapshots if "cpu.cores" in snapshot["metrics"])
    return [later - earlier for earlier, later in pairwise(at_s)]


def rates(server: MonitorServer) -> list[float]:
    return [
        value
        for snapshot in server.snapshots
        for key, value in snapshot["metrics"].items()
        if key.startswith("m.count{")
    ]
