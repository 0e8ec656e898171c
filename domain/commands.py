"""What we ask of a node, and what may become of it.

queued → leased → done | failed, or expired, cancelled, superseded before that. Delivered at least once: a leased
command whose reply was lost is leased again, so every kind must be safe to repeat.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NewType
from uuid import uuid4

CommandId = NewType("CommandId", str)
Outcome = Literal["done", "failed"]
MESSAGE_MAX_CHARS = 500
LEASE_MS = 15_000
"""When a leased command nobody reported on is handed out again."""
LEASE_MOST = 20
"""How many commands one reply brings."""


class CommandState(StrEnum):
    """Where a command is in its life."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"


OPEN = frozenset({CommandState.QUEUED, CommandState.LEASED})


class Kind(StrEnum):
    """What a node can be asked to do: what follows from its state, or what a click asks again. To lose one is no loss.

    A trial's payload is `{"bundle": …}` as domain/bundles.py has it, of one monitor. The agent checks it as any other,
    runs it once beside its own set, sends none of its samples, and reports with the command's id as `trial`:
    domain/monitor_runs.py.
    """

    NOOP = "noop"
    DEREGISTER = "deregister"
    TRIAL = "trial"


SUPERSEDES = frozenset({Kind.DEREGISTER})
"""Kinds of which only the newest order counts."""


@dataclass(frozen=True, slots=True)
class Command:
    """One order to one node.

    issuer  who asks, as the actor of an event: "system", "user/<uuid>" …
    """

    id: CommandId
    node: str
    kind: Kind
    issuer: str
    issued_ms: int
    expires_ms: int
    payload: Mapping[str, Any] = field(default_factory=dict)
    state: CommandState = CommandState.QUEUED
    leased_ms: int | None = None
    ended_ms: int | None = None
    message: str = ""

    def state_at(self, now_ms: int) -> CommandState:
        """The state, also when nobody has noted yet that the time is over."""
        return CommandState.EXPIRED if self.state in OPEN and self.expires_ms <= now_ms else self.state


def order(
    node: str,
    kind: Kind,
    now_ms: int,
    lasts_ms: int,
    *,
    payload: Mapping[str, Any] | None = None,
    issuer: str = "system",
) -> Command:
    """A new command that expires `lasts_ms` from now."""
    return Command(CommandId(uuid4().hex), node, kind, issuer, now_ms, now_ms + lasts_ms, payload or {})
