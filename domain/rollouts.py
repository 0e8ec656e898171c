"""How a version comes to its nodes: one canary, then a share, then all; and back, when runs fail.

`decide` is the whole of it, a pure function of where the rollout is and what its nodes report. Nothing here is
random: which node runs which version follows from names, so that every process tells a node the same.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final


class Stage(StrEnum):
    """Where a rollout is."""

    NONE = "none"
    CANARY = "canary"
    SHARE = "share"
    ALL = "all"
    DONE = "done"
    HALTED = "halted"


MOVING: Final = frozenset({Stage.CANARY, Stage.SHARE, Stage.ALL})
SHARE_PERCENT: Final = 25
PROVEN_RUNS: Final = 2
"""Good runs, the last of them good, that a canary needs; of the others one is enough."""
BROKEN_RUNS: Final = 2
"""Failed runs in a row after which a version is broken on a node; one, where it has never run well."""
TOLERATED: Final = 0.05
"""Of the nodes of a stage; the canary is tolerated nothing."""
ENOUGH: Final = 0.9
"""Of the nodes of a stage that must have run it well before the next one."""
PATIENCE_LEAST: Final = timedelta(minutes=5)
PATIENCE_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where it is.

    good      the last version that came to all; 0 for none
    pushed    the version on its way, or that came last
    canaries  which nodes run it first
    since     when the stage began
    """

    monitor: str
    good: int
    pushed: int
    stage: Stage
    canaries: tuple[str, ...]
    since: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """What one node of the target reports of the version that is pushed.

    is_able   its agent is online and allows what the version needs
    ok        runs that went well; `failed` those that did not, `in_a_row` of them the last ones
    samples   of its last run
    """

    node: str
    is_able: bool
    ok: int = 0
    failed: int = 0
    in_a_row: int = 0
    message: str = ""
    samples: int = 0

    @property
    def is_broken(self) -> bool:
        return self.in_a_row >= (BROKEN_RUNS if self.ok else 1)

    @property
    def is_good(self) -> bool:
        return self.ok > 0 and self.in_a_row == 0


@dataclass(frozen=True, slots=True)
class Move:
    """The next stage, and why, where that is not that all went well."""

    stage: Stage
    canaries: tuple[str, ...] = ()
    reason: str = ""


def version_for(rollout: Rollout, node: str) -> int:
    """The version that this node of the target is to run; 0 for none."""
    match rollout.stage:
        case Stage.NONE:
            return 0
        case Stage.HALTED:
            return rollout.good
        case Stage.ALL | Stage.DONE:
            return rollout.pushed
    is_first = node in rollout.canaries or (rollout.stage == Stage.SHARE and _is_in_share(rollout, node))
    return rollout.pushed if is_first else rollout.good


def decide(
    rollout: Rollout, target: Sequence[Progress], interval_s: int, now: datetime, series_left: int
) -> Move | None:
    """The next move, or None to wait.

    target       every node that is to run the monitor
    series_left  how many more series the account may have
    """
    if rollout.stage not in MOVING:
        return None
    able = [one for one in target if one.is_able]
    asked = [one for one in able if version_for(rollout, one.node) == rollout.pushed]
    halted = _halts(rollout, asked, len(target), series_left)
    if halted:
        return Move(Stage.HALTED, reason=halted)
    if rollout.stage == Stage.CANARY and not asked:
        canary = first_of(rollout, able)
        return Move(Stage.CANARY, (canary,)) if canary else None
    is_late = now - rollout.since > max(PATIENCE_LEAST, PATIENCE_RUNS * timedelta(seconds=interval_s))
    return _next(rollout, asked, is_late=is_late)


def first_of(rollout: Rollout, able: Sequence[Progress]) -> str | None:
    """The canary: any of those that can run it, but always the same one."""
    return min((one.node for one in able), key=lambda node: _place(rollout, node), default=None)


def _next(rollout: Rollout, asked: Sequence[Progress], *, is_late: bool) -> Move | None:
    good = sum(one.is_good for one in asked)
    if rollout.stage == Stage.CANARY:
        if all(one.is_good and one.ok >= PROVEN_RUNS for one in asked):
            return Move(Stage.SHARE, rollout.canaries)
        silent = [one.node for one in asked if not one.ok + one.failed]
        return Move(Stage.HALTED, reason=f"{silent[0]} was to run it first and has not") if is_late and silent else None
    enough = good >= (len(asked) / 2 if is_late else len(asked) * ENOUGH)
    if asked and enough:
        return Move(Stage.ALL if rollout.stage == Stage.SHARE else Stage.DONE, rollout.canaries)
    if is_late and asked:
        return Move(Stage.HALTED, reason=f"only {good} of {len(asked)} nodes have run it well in all this time")
    return None


def _halts(rollout: Rollout, asked: Sequence[Progress], nodes: int, series_left: int) -> str:
    """Why the rollout must not go on; "" when it may."""
    broken = [one for one in asked if one.is_broken]
    tolerated = 0 if rollout.stage == Stage.CANARY else TOLERATED * len(asked)
    if len(broken) > tolerated:
        first = min(broken, key=lambda one: one.node)
        many = f"{len(broken)} of {len(asked)} nodes fail, " if len(asked) > 1 else ""
        return f"{many}{first.node}: {first.message}" if first.message else f"{many}{first.node} fails"
    samples = max((one.samples for one in asked), default=0)
    if samples * nodes > series_left:
        return (
            f"{samples:,} series on each of {nodes:,} nodes would be {samples * nodes:,}; "
            f"the account's budget has room for {max(0, series_left):,} more"
        )
    return ""


def _is_in_share(rollout: Rollout, node: str) -> bool:
    return int.from_bytes(_place(rollout, node)[:4], "big") % 100 < SHARE_PERCENT


def _place(rollout: Rollout, node: str) -> bytes:
    """Another order of nodes for each version: it is not always the same ones that go first."""
    return hashlib.sha256(f"{rollout.monitor}/{rollout.pushed}/{node}".encode()).digest()
