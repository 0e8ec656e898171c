"""A server that hands out monitors, and agents that run them."""

import dataclasses
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.config import AgentConfig
from agent.monitors import schedule
from agent.monitors.allowed import Allowed
from tests.monitor_server import MonitorServer
from tests.running_agent import RunningAgent


@pytest.fixture
def server() -> Iterator[MonitorServer]:
    server = MonitorServer()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def start(
    server: MonitorServer, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., RunningAgent]]:
    """Starts an agent that allows monitors, begins to run them at once, and is quick to try again."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(schedule, "FIRST_WITHIN_S", 0.2)
    started: list[RunningAgent] = []

    def start(**changes: Any) -> RunningAgent:
        config = AgentConfig(
            server=server.url,
            key="mtr_test",
            node="web-1",
            state_dir=tmp_path / "state",
            interval_s=0.5,
            back_off_s=0.2,
            key_retry_s=0.2,
            timeout_s=5,
            monitors=Allowed(),
        )
        agent = RunningAgent(dataclasses.replace(config, **changes)).start()
        started.append(agent)
        return agent

    yield start
    for agent in started:
        if not agent.exit_codes:
            agent.stop()
