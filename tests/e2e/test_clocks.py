"""Clocks are set by an hour, an agent's and the platform's: nothing changes but the skew that is shown."""

import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bench.registry import Registry
from tests.e2e.fleets import Pace, Trial, trial
from tests.e2e.platforms import Platform

HOUR_S = 3_600
SIZE = 20
PACE = Pace(grace_s=6)


class Clock:
    """The wall clock of the processes that are started with `env`."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "shifted_clock.so", folder / "ahead"
        source = Path(__file__).with_name("shifted_clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-nostdlib", "-O2", "-o", self._library, source], check=True)
        self._file.write_bytes(bytes(8))

    @property
    def env(self) -> Mapping[str, str]:
        return {"LD_PRELOAD": str(self._library), "SHIFTED_CLOCK": str(self._file)}

    def set_ahead(self, seconds: int) -> None:
        """In place: the processes have mapped the file."""
        with self._file.open("r+b") as file:
            file.write((seconds * 1_000_000_000).to_bytes(8, "little", signed=True))


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    if shutil.which("cc") is None or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("needs a C compiler (apt-get install gcc) on x86-64 or ARM Linux, until Debian's faketime works")
    return Clock(tmp_path)


def skews_s(running: Trial) -> dict[str, float]:
    """What the platform thinks of every agent's clock."""
    with Registry(running.platform.data_dir) as registry:
        return {name: (contact.skew or 0) / 1000 for name, contact in registry.contacts().items()}


def newest_contact_s(running: Trial) -> float:
    """By the platform's clock, Unix s."""
    with Registry(running.platform.data_dir) as registry:
        return max(contact.last for contact in registry.contacts().values()) / 1000


def assert_only_the_dead_moved(running: Trial) -> None:
    live = {agent.name for agent in running.fleet.live}
    with Registry(running.platform.data_dir) as registry:
        assert [move for move in registry.moves() if move.node in live] == []
        assert {state for name, state in registry.states().items() if name in live} == {"online"}
        assert live <= registry.with_deadline()


def test_agents_whose_clock_is_set_stay_online(start: Callable[..., Platform]) -> None:
    with trial(start(env=PACE.settings()), PACE, SIZE, snapshots=True) as running:
        ahead, behind, right = running.fleet.agents[0], running.fleet.agents[1], running.fleet.agents[2]
        ahead.skew_s, behind.skew_s = HOUR_S, -HOUR_S
        running.platform.wait_until(lambda: abs(skews_s(running)[ahead.name] - HOUR_S) < 30)
        (dead,) = running.fleet.kill(1, among=running.fleet.agents[3:])
        time.sleep(PACE.late_s)
        running.until_heard()
        # what is shown is of the quickest of the last few requests, so it follows some pings later
        running.platform.wait_until(lambda: abs(skews_s(running)[behind.name] + HOUR_S) < 30)
        assert abs(skews_s(running)[right.name]) < 30
        ahead.skew_s = 0
        running.platform.wait_until(lambda: abs(skews_s(running)[ahead.name]) < 30)
        running.until_found()
        assert dead.is_dead
        assert_only_the_dead_moved(running)


@pytest.mark.parametrize(
    "hours", [(1, 0), pytest.param((-1, 0, 1, -1, 0), marks=pytest.mark.long)], ids=["forth and back", "many times"]
)
def test_the_platforms_clock_is_set_and_nobody_is_late_for_it(
    start: Callable[..., Platform], clock: Clock, hours: tuple[int, ...]
) -> None:
    with trial(start(env={**PACE.settings(), **clock.env}), PACE, SIZE) as running:
        for hour in hours:
            running.fleet.kill(1)
            clock.set_ahead(hour * HOUR_S)
            running.fleet.kill(1)
            time.sleep(PACE.late_s + PACE.grace_s)  # who is called late for our clock is so by now
            running.until_found()
            assert_only_the_dead_moved(running)
            assert abs(newest_contact_s(running) - time.time() - hour * HOUR_S) < 30, "the clock was not set"
            assert running.platform.is_ready()
        assert len(running.fleet.dead) == 2 * len(hours)
