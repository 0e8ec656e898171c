"""The agent in a thread of the test, and what it keeps on disk."""

import contextlib
import dataclasses
import queue
import threading
import time
from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.loop import Stops, run


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
