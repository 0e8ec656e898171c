"""When a silent node is late, offline, deregistered. Pure: instants are Unix ms and come as arguments.

Silence is what we did not hear while we could have heard: our own outages do not count, nor does what a node has
announced with a goodbye. Nobody is demoted before a grace after our return, in which agents reconnect. Only a contact
brings a node back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.nodes import NodeState

GRACE_PINGS = 2
GRACE_LEAST_S = 60
CLOCK_SLACK_MS = 5_000
"""Another replica's clock may stamp a contact so far ahead of ours; one further ahead came before ours was set."""
LIFE = (NodeState.ONLINE, NodeState.LATE, NodeState.OFFLINE, NodeState.DEREGISTERED)
"""The states in the order in which silence leads through them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The silence, in ms, from which a node is late, offline, deregistered; ascending. And the grace it gets."""

    late_ms: int
    offline_ms: int
    deregister_ms: int
    grace_ms: int

    def __post_init__(self) -> None:
        if not 0 < self.late_ms <= self.offline_ms <= self.deregister_ms:
            raise ValueError(f"{self} does not ascend")

    def of(self, state: NodeState) -> int:
        """The silence at which `state` begins."""
        return (0, self.late_ms, self.offline_ms, self.deregister_ms)[LIFE.index(state)]


@dataclass(frozen=True, slots=True)
class Hearing:
    """When we could hear nodes.

    at_ms     until when we know that we could
    since_ms  since when without a break
    outages   [from, to) when we could not, ascending by their end, not overlapping
    """

    at_ms: int
    since_ms: int
    outages: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Goodbye:
    """With its last contact a node said that it leaves.

    back_within_ms  silence it has announced; None when it was stopped and is not to be waited for
    """

    back_within_ms: int | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a node is now, and the instant of its next possible change; None when silence changes nothing more."""

    state: NodeState
    due_ms: int | None


def limits(
    interval_ms: int,
    late_after_pings: int,
    offline_after_pings: int,
    deregister_after_s: int,
    grace_least_s: int = GRACE_LEAST_S,
    *,
    is_ephemeral: bool = False,
) -> Limits:
    """The limits of a node that is expected every `interval_ms`; a limit below the one before is raised to it.

    An ephemeral node is given up, without a word before, where another one is offline.
    """
    late = interval_ms * late_after_pings
    offline = max(late, interval_ms * offline_after_pings)
    grace = max(GRACE_PINGS * interval_ms, grace_least_s * 1000)
    if is_ephemeral:
        return Limits(offline, offline, offline, grace)
    return Limits(late, offline, max(offline, deregister_after_s * 1000), grace)


def silence_ms(last_ms: int, now_ms: int, outages: Sequence[tuple[int, int]]) -> int:
    """How long a node kept silent since its last contact while we could have heard it; never negative."""
    deaf = sum(max(0, min(end, now_ms) - max(start, last_ms)) for start, end in outages)
    return max(0, now_ms - last_ms - deaf)


def state_after(silence: int, limits: Limits) -> NodeState:
    """The state that so much silence (ms) leads to."""
    return next(state for state in reversed(LIFE) if silence >= limits.of(state))


def judge(
    recorded: NodeState,
    last_ms: int,
    now_ms: int,
    limits: Limits,
    hearing: Hearing,
    goodbye: Goodbye | None = None,
) -> Verdict:
    """Decide about a node from its recorded state and its last contact.

    A node that was heard just now is online, whatever it was. A silent one only ever moves on: an offline node whose
    limits were widened does not become late. Until the grace is over a silent node stays what it is; one that said
    that it was stopped needs no grace, for nothing is presumed of it.
    """
    silence = silence_ms(last_ms, now_ms, hearing.outages)
    if goodbye is not None and goodbye.back_within_ms is not None:
        silence -= goodbye.back_within_ms  # negative while it need not be heard
    reached = state_after(max(silence, 0), limits)
    if goodbye is not None and goodbye.back_within_ms is None:
        recorded = _further(recorded, state_after(limits.offline_ms, limits))
    elif reached == NodeState.ONLINE:
        return _stay(reached, silence, now_ms, limits)
    if _further(recorded, reached) == recorded:
        return _stay(recorded, silence, now_ms, limits)
    demote_from = hearing.since_ms + limits.grace_ms
    return Verdict(recorded, demote_from) if now_ms < demote_from else _stay(reached, silence, now_ms, limits)


def credible_last_ms(last_ms: int | None, recorded: NodeState, now_ms: int, limits: Limits) -> int:
    """The last contact to judge by: the one we have, if it is credible, or else a presumed one.

    Presumed is as much silence as the recorded state has proved, and no more.
    """
    if last_ms is not None and last_ms <= now_ms + CLOCK_SLACK_MS:
        return last_ms
    return now_ms - limits.of(recorded)


def presumed_last_ms(said_ms: int, announced_ms: int, recorded: NodeState, now_ms: int, limits: Limits) -> int:
    """The last contact to judge by when only a goodbye is known, said at `said_ms`: as much is announced as remains."""
    return max(said_ms, now_ms - limits.of(recorded) - announced_ms)


def _further(state: NodeState, other: NodeState) -> NodeState:
    """The one that more silence leads to."""
    return max(state, other, key=LIFE.index)


def _stay(state: NodeState, silence: int, now_ms: int, limits: Limits) -> Verdict:
    if state == NodeState.DEREGISTERED:
        return Verdict(state, None)
    next_ms = limits.of(LIFE[LIFE.index(state) + 1])
    return Verdict(state, now_ms + max(next_ms - silence, 0))
