"""A node's states, which moves between them there are, and when a changed instance is news."""

from datetime import datetime, timedelta
from enum import StrEnum

INSTANCE_REST = timedelta(minutes=10)
"""Two machines under one name take turns with every ping; so often, at most, is that an event."""


class NodeState(StrEnum):
    """Where a node is in its life."""

    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"
    DEREGISTERED = "deregistered"


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
