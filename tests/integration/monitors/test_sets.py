"""Sets of monitors: fetched when they differ, kept over restarts and outages, and taken from nobody but the server."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from domain import bundles
from tests.agent_server import problem, until
from tests.monitor_server import MonitorServer, entry
from tests.running_agent import RunningAgent, lines_with

Start = Callable[..., RunningAgent]

LOAD = {"name": "load", "script": 'gauge("m.load", facts.metrics["load.1m"] or -1)\nstatus("load", "ok", "calm")'}


def test_a_set_is_fetched_run_and_reported(server: MonitorServer, start: Start) -> None:
    server.publish({**LOAD, "labels": {"team": "a"}})
    start()
    until(lambda: series_of(server, "m.load"), "a sample of the monitor")
    assert series_of(server, "m.load") == {'m.load{monitor="load",team="a"}'}
    until(lambda: server.runs_of("load"), "a report")
    run = server.runs_of("load")[0]
    assert (run["state"], run["version"], run["samples"], run["message"]) == ("ok", 1, 1, "")
    assert run["statuses"] == [{"name": "load", "state": "ok", "message": "calm"}]
    assert run["cpu_ms"] > 0 and run["took_ms"] > 0 and run["memory_bytes"] > 0
    until(lambda: server.pings[-1]["monitors"] == server.hash, "a ping that tells the set")
    assert server.pings[0]["monitors"] == ""
    assert server.pings[-1]["agent"]["monitors"] == ""


def test_another_set_ends_the_old_one(server: MonitorServer, start: Start) -> None:
    server.publish(LOAD, {"name": "other", "script": "gauge('m.other', 1)"})
    start()
    until(lambda: server.runs_of("load") and server.runs_of("other"), "both run")
    server.publish({**LOAD, "version": 2})
    until(lambda: any(run["version"] == 2 for run in server.runs_of("load")), "the second version")
    server.publish()
    until(lambda: server.pings[-1]["monitors"] == "", "an empty set")
    fetches = len(server.fetches)
    assert fetches <= 5, "key and sets, each once"


def test_an_agent_that_allows_none_says_nothing_and_fetches_nothing(server: MonitorServer, start: Start) -> None:
    server.publish(LOAD)
    start(monitors=None)
    until(lambda: len(server.pings) > 3, "some pings")
    assert not server.fetches
    assert all("monitors" not in ping and "monitors" not in ping["agent"] for ping in server.pings)


def test_the_kept_set_runs_without_the_server(server: MonitorServer, start: Start) -> None:
    server.publish(LOAD)
    first = start()
    until(lambda: server.runs_of("load"), "a report")
    first.stop()
    server.close()
    second = start()
    folder = second.config.state_dir / "buffer"
    until(lambda: any(b"m.load" in path.read_bytes() for path in folder.glob("*.ndjson")), "a sample that waits")
    fetches = len(server.fetches)
    server.runs.clear()
    server.open()
    until(lambda: server.runs_of("load"), "the reports of the outage")
    until(lambda: server.pings[-1]["monitors"] == server.hash, "a ping")
    assert len(server.fetches) == fetches, "what it has it need not fetch"


def test_a_set_cut_short_on_disk_is_fetched_again(server: MonitorServer, start: Start) -> None:
    server.publish(LOAD)
    first = start()
    until(lambda: server.runs_of("load"), "a report")
    first.stop()
    kept = first.config.state_dir / "monitors" / "set.json"
    kept.write_bytes(kept.read_bytes()[:200])
    server.runs.clear()
    start()
    until(lambda: server.runs_of("load"), "a report again")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"private_key": b"x" * 32}, "signed by another key"),
        ({"node": "web-2"}, "for another node or account"),
        ({"account": "00000000-0000-0000-0000-000000000001"}, "for another node or account"),
        ({"issued_at": 1_000_000_000}, "older than the one this agent has"),
    ],
)
def test_a_set_that_cannot_be_trusted_is_refused_and_told(
    server: MonitorServer, start: Start, caplog: pytest.LogCaptureFixture, change: dict[str, Any], line: str
) -> None:
    server.publish(LOAD)
    start()
    until(lambda: server.pings and server.pings[-1]["monitors"] == server.hash, "the good set")
    good = server.hash
    for name, value in change.items():
        setattr(server, name, value)
    server.publish({"name": "evil", "script": "gauge('evil', 1)"})
    until(lambda: "monitors_problem" in server.pings[-1]["agent"], "a ping that tells it")
    assert line in server.pings[-1]["agent"]["monitors_problem"]
    assert server.pings[-1]["monitors"] == good
    assert len(lines_with(caplog, line)) == 1
    fetches = len(server.fetches)
    pings = len(server.pings)
    until(lambda: len(server.pings) > pings + 3, "more pings")
    assert len(server.fetches) == fetches, "it does not ask for the same again and again"
    assert not server.runs_of("evil")


def test_a_key_given_by_the_owner_counts_from_the_start(server: MonitorServer, start: Start) -> None:
    given = base64.b64encode(bundles.public_key(server.private_key)).decode()
    server.told_key = bundles.public_key(b"y" * 32)
    server.publish(LOAD)
    start(monitor_key=given)
    until(lambda: server.runs_of("load"), "a report")
    assert "/api/v1/monitors/key" not in server.fetches


def test_a_server_that_fails_is_asked_again(server: MonitorServer, start: Start) -> None:
    server.judge_fetch = problem(503, Retry_After="1")
    server.publish(LOAD)
    start()
    until(lambda: server.fetches, "a try")
    server.judge_fetch = None
    until(lambda: server.runs_of("load"), "a report")


def test_a_trial_runs_once_and_only_its_report_is_sent(server: MonitorServer, start: Start) -> None:
    start()
    until(lambda: server.pings, "a ping")
    trial = server.signed([entry({"name": "try", "script": "gauge('m.try', 7, {a = 'b'})\nerror('then')"})])
    server.commands = [{"id": "c1", "kind": "trial", "payload": {"bundle": trial}}]
    until(lambda: server.runs_of("try"), "its report")
    (run,) = server.runs_of("try")
    assert (run["trial"], run["state"], run["line"], run["message"]) == ("c1", "failed", 2, "then")
    assert run["values"] == [{"kind": "gauge", "name": "m.try", "value": 7.0, "labels": {"a": "b"}}]
    assert not series_of(server, "m.try")
    forged = {**trial, "node": "web-1", "issued_at": trial["issued_at"] + 1}
    server.commands = [{"id": "c2", "kind": "trial", "payload": {"bundle": forged}}]
    until(lambda: finished(server, "c2"), "the second command")
    assert finished(server, "c2")["state"] == "failed"
    assert "signed by another key" in finished(server, "c2")["message"]


def finished(server: MonitorServer, command_id: str) -> dict[str, Any]:
    reports = [each for ping in server.pings for each in ping["finished"]]
    return next((each for each in reports if each["id"] == command_id), {})


def series_of(server: MonitorServer, metric: str) -> set[str]:
    return {key for snapshot in server.snapshots for key in snapshot["metrics"] if key.partition("{")[0] == metric}
