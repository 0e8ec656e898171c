"""The agent as a whole, against a real server that misbehaves on request."""

import contextlib
import dataclasses
import functools
import logging
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.loop import Stops, run
from domain import series_key
from tests.agent_server import AgentServer, Answer, Post, accepted, problem, serving, until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def server() -> Iterator[AgentServer]:
    with serving() as server:
        yield server


@dataclasses.dataclass
class RunningAgent:
    """An agent in a thread of this process."""

    config: AgentConfig
    stops: Stops = dataclasses.field(default_factory=queue.SimpleQueue)
    exit_codes: list[int] = dataclasses.field(default_factory=list)

    def start(self) -> "RunningAgent":
        self._thread = threading.Thread(target=lambda: self.exit_codes.append(run(self.config, self.stops)))
        self._thread.start()
        return self

    def stop(self) -> float:
        """Stop it; the seconds that took."""
        asked_s = time.monotonic()
        self.stops.put(0)
        self._thread.join(10)
        assert not self._thread.is_alive()
        return time.monotonic() - asked_s


@pytest.fixture
def start(
    server: AgentServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> Iterator[Callable[..., RunningAgent]]:
    """Starts an agent that is quick to take snapshots and to try again."""
    caplog.set_level(logging.INFO)
    started: list[RunningAgent] = []

    def start(**changes: Any) -> RunningAgent:
        config = AgentConfig(
            server=server.url,
            key="mtr_test",
            node="web-1",
            state_dir=tmp_path / "state",
            interval_s=0.2,
            back_off_s=0.2,
            key_retry_s=0.2,
            timeout_s=5,
        )
        agent = RunningAgent(dataclasses.replace(config, **changes)).start()
        started.append(agent)
        return agent

    yield start
    for agent in started:
        if not agent.exit_codes:
            agent.stop()


def lines_with(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


def waiting(agent: RunningAgent) -> list[Path]:
    return sorted((agent.config.state_dir / "buffer").glob("*.ndjson"))


def lines_waiting(folder: Path) -> list[bytes]:
    """The snapshots on disk, oldest first; a batch may be sent while we look."""
    lines: list[bytes] = []
    for path in sorted((folder / "buffer").glob("*.ndjson")):
        with contextlib.suppress(FileNotFoundError):
            lines += path.read_bytes().splitlines()
    return lines


def test_snapshots_arrive_with_canonical_keys_and_leave_the_buffer(
    server: AgentServer, start: Callable[..., RunningAgent]
) -> None:
    agent = start(labels={"env": "test"})
    until(lambda: len(server.taken) >= 3, "three batches")
    agent.stop()
    assert waiting(agent) == []
    post = server.posts[0]
    assert post.headers["Authorization"] == "Bearer mtr_test"
    assert post.headers["Metrist-Instance"] == server.pings[0]["instance"]
    for snapshot in server.snapshots:
        assert snapshot["node"] == "web-1"
        assert abs(snapshot["ts"] - time.time()) < 60
        assert all(series_key.compose(*series_key.parse(key)) == key for key in snapshot["metrics"])
    assert {"cpu.usage_percent", "load.1m", "mem.used_percent", "agent.rss_bytes"} <= set(
        server.snapshots[1]["metrics"]
    )


def test_a_snapshot_is_sent_within_a_second_of_its_collection(
    server: AgentServer, start: Callable[..., RunningAgent]
) -> None:
    delays: list[float] = []

    def judge(post: Post) -> Answer:
        delays.extend(time.time() - snapshot["ts"] for snapshot in post.snapshots)
        return accepted(post)

    server.judge = judge
    start()
    until(lambda: len(delays) >= 5, "five snapshots")
    assert sorted(delays)[len(delays) // 2] < 1


def test_an_outage_loses_nothing_and_counts_nothing_twice(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    agent = start(interval_s=0.05)
    until(lambda: len(server.taken) >= 2, "a good start")
    server.close()
    until(lambda: len(lines_waiting(agent.config.state_dir)) >= 20, "20 snapshots in the buffer")
    server.open()
    back_s = time.time()
    until(lambda: any(snapshot["ts"] > back_s for snapshot in server.snapshots), "a fresh snapshot")
    until(lambda: lines_with(caplog, "works again"), "the end of the outage")
    agent.stop()
    assert waiting(agent) == []
    times = [snapshot["ts"] for snapshot in server.snapshots]
    assert len(times) == len(set(times))
    assert max(later - earlier for earlier, later in zip(sorted(times), sorted(times)[1:], strict=False)) < 1
    assert max(len(post.snapshots) for post in server.taken.values()) >= 10, "the back-fill goes in larger batches"
    assert len(lines_with(caplog, "cannot be reached")) == 1
    (end,) = lines_with(caplog, "works again")
    assert re.search(r"after \d+ s", end)


def test_a_batch_whose_answer_was_lost_is_sent_again_as_it_was(
    server: AgentServer, start: Callable[..., RunningAgent]
) -> None:
    server.judge = lambda _post: None  # taken, perhaps, but the answer never comes
    start(timeout_s=0.3)
    until(lambda: len(server.posts) >= 2, "a second try")
    first, second = server.posts[:2]
    assert (first.batch_id, first.body) == (second.batch_id, second.body)


def test_new_snapshots_flow_while_the_past_is_filled_in(
    server: AgentServer, start: Callable[..., RunningAgent]
) -> None:
    server.judge = lambda _post: problem(503)
    agent = start(interval_s=0.05, buffer_bytes=200_000)  # batches of 25 kB, a few snapshots each
    until(lambda: len(waiting(agent)) >= 5, "five batches in the buffer")
    *closed, newest = (path.stem.partition("-")[2] for path in waiting(agent))
    old = {*closed, newest}

    def slowly(post: Post) -> Answer:
        time.sleep(0.06)
        return accepted(post)

    server.judge = slowly
    until(lambda: old <= set(server.taken), "the back-fill")
    order = list(server.taken)
    assert any(batch_id not in old for batch_id in order[: len(old)]), "a new one came before the last old one"
    assert [batch_id for batch_id in order if batch_id in closed] == closed, "the past goes oldest first"


def test_retry_after_is_honoured(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    server.judge = lambda post: accepted(post) if server.posts else problem(503, Retry_After="1")
    start()
    until(lambda: len(server.taken) >= 1, "the batch")
    first, second = server.posts[:2]
    assert second.at_s - first.at_s >= 0.99
    assert second.batch_id == first.batch_id


def test_a_refused_key_is_one_line_and_loses_nothing(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    server.judge = lambda _post: problem(401, "the key was revoked")
    server.judge_ping = lambda _ping: problem(401, "the key was revoked")
    agent = start()
    until(lambda: len(server.posts) >= 3 and len(server.pings) >= 3, "three tries each")
    (line,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert line.getMessage().startswith(f"the API key was refused by {server.url}: check METRIST_KEY")
    assert "mtr_test" not in caplog.text
    server.judge, server.judge_ping = accepted, lambda _ping: None
    until(lambda: lines_with(caplog, "works again"), "the end of the trouble")
    agent.stop()
    assert waiting(agent) == []


def test_a_poison_batch_is_set_aside_and_blocks_nobody(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    poison: list[Post] = []

    def judge(post: Post) -> Answer:
        if not poison or post.batch_id == poison[0].batch_id:
            poison.append(post)
            return problem(400, "the body is not JSON")
        return accepted(post)

    server.judge = judge
    agent = start()
    until(lambda: len(server.taken) >= 2, "the batches after it")
    (kept,) = (agent.config.state_dir / "rejected").iterdir()
    assert kept.read_bytes() == poison[0].body
    assert len(poison) == 1
    assert len(lines_with(caplog, "the body is not JSON")) == 1


def test_a_400_from_a_proxy_on_the_way_loses_nothing(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    server.judge = lambda _post: Answer(400, {}, {"Content-Type": "text/html"})
    agent = start()
    until(lambda: len(server.posts) >= 2, "a second try")
    server.judge = accepted
    until(lambda: server.posts[0].batch_id in server.taken, "the batch")
    assert list((agent.config.state_dir / "rejected").iterdir()) == []


def test_a_sign_in_page_that_says_200_is_no_receipt(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    server.judge = lambda _post: Answer(200, {"welcome": "to our hotel"})
    start()
    until(lambda: lines_with(caplog, "not as a Metrist server does"), "the warning")
    lost = server.posts[0].batch_id
    server.taken.clear()
    server.judge = accepted
    until(lambda: lost in server.taken, "the batch")


def test_a_batch_that_is_too_large_goes_in_halves(server: AgentServer, start: Callable[..., RunningAgent]) -> None:
    server.judge = lambda _post: problem(503)
    agent = start(interval_s=0.05)
    until(lambda: len(lines_waiting(agent.config.state_dir)) >= 12, "12 snapshots in the buffer")
    server.judge = lambda post: problem(413) if len(post.snapshots) > 3 else accepted(post)
    until(lambda: any(post.batch_id.endswith(".1.1") for post in server.taken.values()), "quarters")
    agent.stop()
    times = [snapshot["ts"] for snapshot in server.snapshots]
    assert len(times) == len(set(times))
    assert list((agent.config.state_dir / "rejected").iterdir()) == []


def test_refused_samples_are_summed_up_once(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    refusals = [{"reason": "ts-future", "detail": "ts is ahead", "count": 2, "example": "snapshot 0"}]
    server.judge = lambda post: Answer(202, {"accepted": 8, "refused": 2, "refusals": refusals, "batch": post.batch_id})
    start()
    until(lambda: len(server.taken) >= 3, "three batches")
    (line,) = lines_with(caplog, "ts-future")
    assert line == f"{server.url} refused 2 of 10 samples: 2 ts-future (ts is ahead)"


def test_a_full_buffer_drops_its_oldest_and_says_so_once(
    server: AgentServer, start: Callable[..., RunningAgent], caplog: pytest.LogCaptureFixture
) -> None:
    server.close()
    agent = start(interval_s=0.05, buffer_bytes=30_000)
    until(lambda: lines_with(caplog, "the buffer is full"), "the warning")
    first = waiting(agent)[0].name
    until(lambda: waiting(agent)[0].name != first, "the next to be dropped")
    agent.stop()
    assert sum(path.stat().st_size for path in waiting(agent)) <= 30_000
    assert len(lines_with(caplog, "the buffer is full")) == 1
    server.open()


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
