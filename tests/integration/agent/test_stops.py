"""Stops, signals and kills: quick, clean, and nothing is lost or counted twice."""

import functools
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.loop import run
from tests.agent_server import AgentServer, Answer, Post, accepted, until
from tests.running_agent import RunningAgent, lines_waiting, lines_with, waiting

ROOT = Path(__file__).parents[3]


def test_a_stop_sends_what_is_left(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    agent = start()
    until(lambda: len(server.taken) >= 1, "a good start")
    assert agent.stop() < 3
    assert agent.exit_codes == [0]
    assert waiting(agent) == []


def test_a_stop_waits_for_no_server_that_hangs(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    server.judge = lambda _post: None
    agent = start(timeout_s=60)
    until(lambda: server.posts, "a batch under way")
    assert agent.stop() < 3
    assert agent.exit_codes == [0]
    assert server.posts[0].batch_id in waiting(agent)[0].name


def test_a_clean_stop_says_goodbye_last_of_all(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    said: list[str] = []

    def note(post: Post) -> Answer:
        said.append("snapshots")
        return accepted(post)

    def hear(ping: dict[str, Any]) -> None:
        said.append("goodbye" if "goodbye" in ping else "ping")

    server.judge, server.judge_ping = note, hear
    agent = start()
    until(lambda: "snapshots" in said and len(server.pings) >= 2, "a good start")
    assert agent.stop() < 3
    assert (said[-1], said.count("goodbye")) == ("goodbye", 1)
    (goodbye,) = [ping["goodbye"] for ping in server.pings if "goodbye" in ping]
    assert goodbye == {"reason": "restart", "back_within_s": 60}
    assert server.pings[-1]["wait"] == 0


@pytest.mark.parametrize("how", [{"goodbye_s": 0}, {"is_ephemeral": True}], ids=["for good", "ephemeral"])
def test_a_stop_for_good_announces_no_return(
    server: AgentServer, start: Callable[..., RunningAgent], how: dict[str, Any]
) -> None:
    agent = start(**how)
    until(lambda: len(server.pings) >= 2, "a good start")
    agent.stop()
    assert server.pings[-1]["goodbye"] == {"reason": "stop"}
    assert {ping["ephemeral"] for ping in server.pings} == {"is_ephemeral" in how}


def test_a_stop_during_an_outage_is_quick_and_says_nothing(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    agent = start()
    until(lambda: len(server.pings) >= 2, "a good start")
    server.close()
    until(lambda: lines_with(caplog, "cannot be reached"), "the outage")
    assert agent.stop() < 1.5
    server.open()
    assert not [ping for ping in server.pings if "goodbye" in ping]


def test_a_second_agent_on_one_state_folder_is_refused(
    start: Callable[..., RunningAgent], server: AgentServer, caplog: pytest.LogCaptureFixture
) -> None:
    first = start()
    until(lambda: server.pings, "the first agent")
    assert run(first.config, queue.SimpleQueue()) == 1
    (line,) = lines_with(caplog, "another agent")
    assert f"process {os.getpid()}" in line
    assert str(first.config.state_dir) in line


@pytest.fixture
def spawn(server: AgentServer, tmp_path: Path) -> Iterator[Callable[[], "subprocess.Popen[bytes]"]]:
    """Starts the agent as its users do: `python -m agent`; its log is agent.log."""
    told = {
        "METRIST_SERVER": server.url,
        "METRIST_KEY": "mtr_test",
        "METRIST_NODE": "web-1",
        "METRIST_AGENT_STATE": str(tmp_path / "state"),
        "METRIST_AGENT_INTERVAL": "0.2",
    }
    spawned: list[subprocess.Popen[bytes]] = []

    def spawn() -> "subprocess.Popen[bytes]":
        with (tmp_path / "agent.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "agent"], cwd=ROOT, env={**os.environ, **told}, stderr=log
            )
        spawned.append(process)
        return process

    yield spawn
    for process in spawned:
        process.kill()
        process.wait()


def test_a_kill_in_the_middle_loses_nothing_and_counts_nothing_twice(
    server: AgentServer, spawn: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    state = tmp_path / "state"

    def take_and_hang(post: Post) -> None:
        server.taken.setdefault(post.batch_id, post)

    server.judge = take_and_hang
    for life in range(1, 4):
        agent = spawn()
        until(functools.partial(lambda life: len(server.posts) >= life, life), "a batch that gets no answer")
        behind = len(lines_waiting(state))
        until(functools.partial(lambda behind: len(lines_waiting(state)) > behind, behind), "one more behind it")
        agent.send_signal(signal.SIGKILL)
        agent.wait()
    ids = [post.batch_id for post in server.posts]
    assert len(set(ids)) < len(ids), "a later life sends the batch of an earlier one"
    assert len({(post.batch_id, post.body) for post in server.posts}) == len(set(ids)), "an id has always one content"
    left = set(lines_waiting(state))
    server.judge = accepted
    spawn()
    until(lambda: len(server.snapshots) > len(left), "all of them and a new one")
    sent = [line for post in server.taken.values() for line in post.body.splitlines()]
    assert left <= set(sent)
    assert len(sent) == len(set(sent))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_stops_it_cleanly(
    server: AgentServer, spawn: Callable[[], "subprocess.Popen[bytes]"], tmp_path: Path, number: signal.Signals
) -> None:
    agent = spawn()
    until(lambda: len(server.taken) >= 2, "a good start")
    rss_bytes = server.snapshots[-1]["metrics"]["agent.rss_bytes"]
    agent.send_signal(number)
    assert agent.wait(3) == 0
    assert rss_bytes < 50_000_000
    log = (tmp_path / "agent.log").read_text()
    assert "Traceback" not in log
    assert log.splitlines()[-1].endswith("stopped; 0 snapshots wait for the next start")
