"""How nodes stood over a while: for conditions on nodes, which look at those that are silent, or were meanwhile."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, or_, select

from domain.ids import AccountId, NodeId
from domain.nodes import NodeState
from schema.control.engine import reading
from schema.control.tables import events, nodes

MOVES: Mapping[str, NodeState] = {f"node_{state.value}": state for state in NodeState}
"""Type of event → the state that it leads to."""
AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class Story:
    """One node: how it stands now, and the moves after some instant that led there, the oldest first."""

    name: str
    labels: Mapping[str, str]
    state: NodeState
    moves: Sequence[tuple[datetime, NodeState]] = ()
    before: NodeState | None = field(default=None)

    def at(self, instant: datetime) -> NodeState:
        """How it stood at an instant."""
        stood = [state for at, state in self.moves if at <= instant]
        return stood[-1] if stood else self.before or self.state


def since(engine: Engine, account_id: AccountId, since: datetime, names: Collection[str]) -> list[Story]:
    """The nodes that are silent, that moved since then, or have one of these names; not those that come and go."""
    silent = nodes.c.state.in_([NodeState.LATE.value, NodeState.OFFLINE.value])
    wanted = list(names)
    of_interest = [or_(silent, nodes.c.state_since > since)]
    of_interest += [nodes.c.name.in_(wanted[start : start + AT_ONCE]) for start in range(0, len(wanted), AT_ONCE)]
    found: dict[NodeId, Any] = {}
    with reading(engine) as conn:
        for some in of_interest:
            theirs = select(nodes).where(nodes.c.account_id == account_id, nodes.c.is_ephemeral.is_(False), some)
            found |= {row.id: row for row in conn.execute(theirs)}
        moved = [f"node/{row.id}" for row in found.values() if row.state_since > since]
        made: dict[str, list[Any]] = {}
        for start in range(0, len(moved), AT_ONCE):
            some = events.c.stream.in_(moved[start : start + AT_ONCE])
            told = select(events).where(some, events.c.at > since, events.c.type.in_(MOVES))
            for row in conn.execute(told.order_by(events.c.stream, events.c.version)):
                made.setdefault(row.stream, []).append(row)
    return [_story(row, made.get(f"node/{row.id}", [])) for row in found.values()]


def _story(row: Any, moves: Sequence[Any]) -> Story:
    """The first of the moves says how it stood before."""
    before = NodeState(moves[0].payload["from"]) if moves else None
    return Story(row.name, row.labels, NodeState(row.state), [(one.at, MOVES[one.type]) for one in moves], before)
