"""Snapshots arrive, once each, through outages and a buffer that is full."""

import re
import time
from collections.abc import Callable

import pytest

from domain import series_key
from tests.agent_server import AgentServer, Answer, Post, accepted, problem, until
from tests.running_agent import RunningAgent, lines_waiting, lines_with, waiting


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
