"""A node's states, which moves between them there are, what it says of itself, and what of that is news."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

CLASH_SHOWN = timedelta(minutes=10)
"""Two machines under one name are shown until they have taken no turns for so long; only then is it over, and another
clash another event, however fast they take turns. The same in contact.lua."""
SKEW_SHOWN_S, SKEW_WARNED_S = 5, 60
"""A clock that is so far from ours is shown; one so far is warned of."""
INSTANCE_REST = timedelta(minutes=10)
"""Two machines under one name take turns with every ping; so often, at most, is that an event."""


class NodeState(StrEnum):
    """Where a node is in its life."""

    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"
    DEREGISTERED = "deregistered"


@dataclass(frozen=True, slots=True)
class Said:
    """What a node says of itself when it is heard; None is what it leaves unsaid.

    interval_s    how often it means to ping, where that is seldomer than it is asked; 0 when it is as asked
    is_ephemeral  it comes and goes, and is not to be missed
    sent_at       the clock of its machine; as it always differs, it is no news
    """

    instance_id: str | None = None
    labels: Mapping[str, str] | None = None
    agent: Mapping[str, Any] | None = None
    is_ephemeral: bool | None = None
    interval_s: int | None = None
    sent_at: datetime | None = field(default=None, compare=False)


MOVES: dict[NodeState, frozenset[NodeState]] = {
    NodeState.LATE: frozenset({NodeState.ONLINE}),
    NodeState.OFFLINE: frozenset({NodeState.ONLINE, NodeState.LATE}),
    NodeState.DEREGISTERED: frozenset({NodeState.ONLINE, NodeState.LATE, NodeState.OFFLINE}),
    NodeState.ONLINE: frozenset({NodeState.LATE, NodeState.OFFLINE, NodeState.DEREGISTERED}),
}
"""To a state, from which: silence only ever moves on, a contact brings back from anywhere."""


def may_move(state: NodeState, to_state: NodeState) -> bool:
    """Whether a node in `state` can go to `to_state`; never to where it is."""
    return state in MOVES[to_state]


def is_new_instance(seen: str | None, known: str | None, known_since: datetime | None, now: datetime) -> bool:
    """Whether an instance id is worth an event: another one, and the last change is not fresh."""
    if seen is None or seen == known:
        return False
    return known is None or known_since is None or now - known_since >= INSTANCE_REST
