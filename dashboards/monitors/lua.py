"""The server's own Lua, in the sandbox that agents use: what is wrong with a script, and what a dry run would find.

Each is a process of a few hundred milliseconds at most; few run at once, and who would wait long is sent away.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from agent import sandbox
from agent.sandbox import Inputs, Limits, Problem, Result, Unable
from domain.errors import InvalidBody, Overloaded
from domain.monitors import Spec

AT_ONCE: Final = 2
WAIT_S: Final = 8.0
DRY_RUN_MAX_S: Final = 10
_places = threading.BoundedSemaphore(AT_ONCE)


def problems(script: str) -> Sequence[Problem]:
    """What keeps a text from being a script, with lines counted from 1. Raises Overloaded."""
    with _place():
        return sandbox.check(script)


def require_sound(script: str) -> None:
    """Raises InvalidBody with the line unless the text is a script."""
    found = problems(script)
    if found:
        told = [{"line": one.line, "message": one.message} for one in found]
        raise InvalidBody(f"Line {found[0].line} of the script: {found[0].message}", errors=told)


def dry_run(spec: Spec, facts: Mapping[str, Any]) -> Result:
    """Run a version once on what is recorded of a node; it reaches nothing else. Raises Overloaded.

    facts  as its agent would tell them: `metrics` are the last values by series key
    """
    inputs = Inputs(facts=facts, parameters=spec.told)
    with _place():
        return sandbox.run(spec.script, inputs, limits_of(spec), _not_here)


def limits_of(spec: Spec) -> Limits:
    """A version's limits as the sandbox takes them."""
    return Limits(
        cpu_s=spec.limits.cpu_ms / 1000,
        wall_s=float(min(spec.timeout_s, DRY_RUN_MAX_S)),
        memory_bytes=spec.limits.memory_mb * 1_000_000,
        samples=spec.limits.samples,
    )


def _not_here(kind: str, _args: Mapping[str, Any], _until_s: float) -> Any:
    raise Unable(f"{kind} reaches out from the node, which a dry run does not; try it on a live node")


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=WAIT_S):
        raise Overloaded("Other scripts are being tried just now", headers={"Retry-After": "5"})
    try:
        yield
    finally:
        _places.release()
