"""What an agent does when it is refused: it waits, halves, sets aside, and says so once."""

import logging
from collections.abc import Callable

import pytest

from tests.agent_server import AgentServer, Answer, Post, accepted, problem, until
from tests.running_agent import RunningAgent, lines_waiting, lines_with, waiting


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
