"""Pings: commands are carried out and reported, and no server is asked in a circle."""

import time
from collections.abc import Callable
from typing import Any

from tests.agent_server import AgentServer, Answer, problem, until
from tests.running_agent import RunningAgent


def test_commands_are_carried_out_once_and_reported(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    start(labels={"env": "test"})
    noop = {"id": "c1", "kind": "noop", "payload": {}, "expires_at": time.time() + 60}
    server.commands = [noop, {"id": "c2", "kind": "dance", "payload": {}, "expires_at": time.time() + 60}]
    until(lambda: any(ping["finished"] for ping in server.pings), "the report")
    (report,) = [ping["finished"] for ping in server.pings if ping["finished"]]
    assert report == [
        {"id": "c1", "state": "done", "message": "nothing was to be done"},
        {"id": "c2", "state": "failed", "message": "this agent does not know the command dance"},
    ]
    server.commands = [noop]
    until(lambda: sum(bool(ping["finished"]) for ping in server.pings) == 2, "the same report once more")
    first, *rest = server.pings
    assert first["wait"] == 0
    assert first["labels"] == {"env": "test"}
    assert set(first["agent"]) == {"version", "os"}
    assert all(ping["wait"] == ping["ping_interval_s"] == 0.2 for ping in rest)


def test_a_report_whose_ping_failed_is_made_again(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    server.judge_ping = lambda ping: problem(503) if ping["finished"] and len(reports) < 2 else None
    reports: list[list[dict[str, Any]]] = []
    server.commands = [{"id": "c1", "kind": "noop", "payload": {}, "expires_at": 0}]
    start()

    def seen() -> bool:
        reports[:] = [ping["finished"] for ping in server.pings if ping["finished"]]
        return len(reports) >= 3

    until(seen, "the report to come again")
    assert all(report[0]["id"] == "c1" for report in reports)


def test_a_server_that_does_not_hold_pings_is_not_asked_in_a_circle(
    server: AgentServer, start: Callable[..., RunningAgent]
) -> None:
    server.judge_ping = lambda _ping: Answer(200, {"ping_interval_s": 0.5, "commands": []})
    start()
    until(lambda: len(server.pings) >= 2, "the second ping")
    before = len(server.pings)
    time.sleep(1.2)
    assert len(server.pings) - before <= 3
