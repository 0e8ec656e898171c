"""Pieces and all of Metrist restart under a fleet that pings: nobody is called late for it, no death is missed."""

import os
import random
import signal
import time
from collections.abc import Callable

import pytest

from bench.registry import Registry
from tests.e2e.fleets import Pace, Trial, trial
from tests.e2e.platforms import Platform

Act = Callable[[Trial], None]


def kill(piece: str) -> Act:
    return lambda trial: _end(trial, piece, signal.SIGKILL)


def stop(piece: str) -> Act:
    return lambda trial: _end(trial, piece, signal.SIGTERM)


def freeze(trial: Trial) -> None:
    """The API hears nobody for a while, and the scheduler is awake when it goes on."""
    pid = trial.platform.child_pid("api")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    _die(trial)
    time.sleep(trial.pace.late_s + 2)
    os.kill(pid, signal.SIGCONT)


def kill_all(trial: Trial) -> None:
    trial.platform.process.kill()
    trial.platform.process.wait()
    _be_away(trial)


def stop_all(trial: Trial) -> None:
    trial.platform.stop()
    _be_away(trial)


def flush(trial: Trial) -> None:
    """Redis loses everything; the scheduler's successor puts it back when it starts, not only a minute later."""
    with Registry(trial.platform.data_dir) as registry:
        registry.redis.flushall()
    _end(trial, "scheduler", signal.SIGKILL)


SHORT: list[Act] = [kill("api"), flush, stop("valkey"), kill_all]
LONG: list[Act] = [
    *[kill("api"), kill("scheduler"), kill("valkey"), kill_all, stop("api"), stop("scheduler"), stop("valkey")],
    *[stop_all, kill("engine"), kill("worker"), kill("api"), freeze, flush, kill("valkey"), stop("valkey")],
    *[kill_all, kill("scheduler"), stop_all, kill_all, kill("api")],
]


def _be_away(trial: Trial) -> None:
    """Long enough that everybody would be late, if our silence were theirs."""
    _die(trial)
    time.sleep(trial.pace.late_s)
    trial.platform.start()


def _end(trial: Trial, piece: str, number: signal.Signals) -> None:
    """End a piece, let some agents die meanwhile, and wait for its successor."""
    platform, before = trial.platform, trial.platform.child_pid(piece)
    assert before, f"{piece} does not run"
    os.kill(before, number)
    _die(trial)
    platform.wait_until(lambda: platform.child_pid(piece) not in (None, before))
    platform.wait_until(platform.is_ready)


def _die(trial: Trial) -> None:
    """At least one agent of a hundred."""
    trial.fleet.kill(max(1, len(trial.fleet.agents) // 100))


@pytest.mark.parametrize(
    ("acts", "size", "pace", "quiet_s"),
    [
        pytest.param(SHORT, 200, Pace(), (1, 4), id="short"),
        pytest.param(LONG, 1_000, Pace(3, 4, 8, 60, 16), (2, 35), id="twenty", marks=pytest.mark.long),
    ],
)
def test_restarts_under_a_fleet_give_no_false_late_and_lose_no_deadline(
    start: Callable[..., Platform], acts: list[Act], size: int, pace: Pace, quiet_s: tuple[float, float]
) -> None:
    with trial(start(env=pace.settings()), pace, size) as running:
        for act in acts:
            _die(running)
            time.sleep(random.uniform(*quiet_s))
            with running.disturbed():
                act(running)
        running.until_heard()
        running.until_found()
        running.judge()
        assert len(running.fleet.dead) >= 2 * len(acts)
