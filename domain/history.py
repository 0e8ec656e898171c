"""A node's past as stretches of time: from the events that changed how it stood, pure. Instants are Unix seconds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.nodes import NodeState

AWAY = "away"
"""It said goodbye and was not yet missed."""
ONLINE = NodeState.ONLINE.value
STANDINGS: dict[str, str] = {
    "node_registered": ONLINE,
    "node_back": ONLINE,
    "node_away": AWAY,
    **{f"node_{state.value}": state.value for state in NodeState},
}
"""How a node stands after an event of this type; other types change nothing about it."""


@dataclass(frozen=True, slots=True)
class Period:
    """How a node stood in [from_s, to_s)."""

    standing: str
    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        return self.to_s - self.from_s


def periods(before: str | None, steps: Iterable[tuple[float, str]], from_s: float, to_s: float) -> Sequence[Period]:
    """What lies in [from_s, to_s): without gaps, ascending, never two of one standing in a row.

    before  how it stood at from_s; None when it was not there yet, and then the first step begins it
    steps   (when, how it stood from then on), in the order of the log; one that seems to lie before the step before it,
            because our clock was set back, counts from that one on
    """
    edges: list[tuple[float, str]] = [] if before is None else [(from_s, before)]
    for at_s, standing in steps:
        begins_s = min(max(at_s, edges[-1][0] if edges else from_s), to_s)
        if edges and edges[-1][0] == begins_s:
            edges.pop()
        if not edges or edges[-1][1] != standing:
            edges.append((begins_s, standing))
    ends = [*edges, (to_s, "")]
    return [Period(one, start, end) for (start, one), (end, _) in pairwise(ends) if end > start]


def online_share(found: Sequence[Period]) -> float | None:
    """Which part of these periods the node was there; None when there are none."""
    total_s = sum(period.length_s for period in found)
    return sum(period.length_s for period in found if period.standing == ONLINE) / total_s if total_s else None
