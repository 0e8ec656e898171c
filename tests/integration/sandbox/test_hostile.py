"""Every script of the corpus, contained: it ends in time, says no more than it may, and reaches nothing."""

import time

import psutil
import pytest

from agent.sandbox import Inputs, Limits, Result, run
from tests.hostile import HOSTILE

LIMITS = Limits(cpu_s=0.1, wall_s=10, memory_bytes=8_000_000)


@pytest.mark.parametrize("name", HOSTILE)
def test_it_spoils_only_its_own_result(name: str) -> None:
    states, source = HOSTILE[name]
    children = _children()
    result = run(source, Inputs(parameters={"x": 1}), LIMITS)
    assert result.state in states, result
    assert result.state == "ok" or result.message
    assert not any("ESCAPED" in line for line in result.log), result.log
    assert result.cpu_ms < 1000, "it was stopped by more than a second of processor time"
    _assert_bounded(result)
    assert _children() <= children


def test_the_next_run_knows_nothing_of_the_last() -> None:
    assert run("string.rep = nil _ENV.gauge = nil known = 1").state == "ok"
    assert run("gauge('a', #string.rep('x', 3)) if rawget(_ENV, 'known') then error('known') end").state == "ok"


def test_time_is_up_for_one_that_waits() -> None:
    def wait(_kind: str, _args: object, until_s: float) -> None:
        time.sleep(until_s - time.monotonic())

    began_s = time.monotonic()
    result = run("tcp.check('x', 1)", limits=Limits(wall_s=0.3), ask=wait)
    assert (result.state, result.message) == ("timeout", "it took longer than 0.3 s")
    assert time.monotonic() - began_s < 5


def _assert_bounded(result: Result) -> None:
    assert len(result.samples) <= LIMITS.samples
    assert len(result.statuses) <= LIMITS.statuses
    assert len(result.log) <= LIMITS.log_lines + 1
    assert len(result.message) <= LIMITS.message_bytes
    assert all(len(line) <= LIMITS.log_line_bytes + 1 for line in result.log)
    assert result.memory_bytes < LIMITS.memory_bytes + 48_000_000


def _children() -> set[int]:
    """Processes whose parent we are."""
    return {child.pid for child in psutil.Process().children()}
