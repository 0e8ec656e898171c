"""The hostile corpus on the server: a dry run is contained as a run on an agent is."""

import time

import pytest

from agent.sandbox import Unable
from dashboards.monitors import lua
from domain.monitors import Limits, Spec
from tests.hostile import BOMBS, ESCAPES, FLOODS, HOSTILE, LOOPS

FEW = [
    f"{kind}: {next(iter(found))}"
    for kind, found in zip(("loop", "bomb", "flood", "escape"), (LOOPS, BOMBS, FLOODS, ESCAPES), strict=True)
] + ["loop: pattern that backtracks", "escape: bytecode", "escape: python.eval"]
REST = [name for name in HOSTILE if name not in FEW]
FACTS = {"node": "web-1", "labels": {}, "time": 1_800_000_000.0, "metrics": {"cpu": 1.0}}
LIMITS = Limits(memory_mb=8, cpu_ms=100)


@pytest.mark.parametrize("name", [*FEW, *(pytest.param(name, marks=pytest.mark.long) for name in REST)])
def test_a_dry_run_of_it_spoils_only_its_own_result(name: str) -> None:
    states, source = HOSTILE[name]
    began_s = time.monotonic()
    result = lua.dry_run(Spec(script=source, limits=LIMITS, parameters={"x": 1}), FACTS)
    assert result.state in states, result
    assert not any("ESCAPED" in line for line in result.log), result.log
    assert time.monotonic() - began_s < lua.DRY_RUN_MAX_S + 5
    assert lua.dry_run(Spec(script="gauge('a', 1)"), FACTS).state == "ok", "the next one finds its place"


@pytest.mark.parametrize("call", ["http.get{url = 'http://127.0.0.1/'}", "tcp.check('127.0.0.1', 1)", "exec.run('x')"])
def test_it_reaches_nothing_from_here(call: str) -> None:
    result = lua.dry_run(Spec(script=f"local _, why = {call} log(why)"), FACTS)
    assert result.state == "ok" and "which a dry run does not" in result.log[0]
    with pytest.raises(Unable):
        lua._not_here("http.get", {}, 0.0)
