"""A server that misbehaves on request, and agents that talk to it."""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from tests.agent_server import AgentServer, serving
from tests.running_agent import RunningAgent


@pytest.fixture
def server() -> Iterator[AgentServer]:
    with serving() as server:
        yield server


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
