"""The nodes that one query finds, in its order; everyone who asks the same shares it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dashboards.node_list.figures import FIGURES
from dashboards.node_list.index import ACTIVE, Node, NodeIndex, Standing
from dashboards.node_list.query import ROWS, NodeQuery
from domain.errors import InvalidQuery
from domain.matchers import Filter, parse_filter
from domain.nodes import NodeState

_AT_ONCE = 200
"""So many nodes are matched before others get their turn: the worst pattern takes 0.2 ms for the longest label."""
_RANKS = {standing: rank for rank, standing in enumerate(Standing)}
assert {state.value for state in NodeState} < set(Standing)


def _value_of(figure: str) -> Callable[[Node], Any]:
    return lambda node: node.lasts.get(figure)


_KEYS: dict[str, Callable[[Node], Any]] = {
    "state": lambda node: _RANKS[node.standing],
    "contact": lambda node: -node.contact.last if node.contact else None,  # who was just heard comes first
    **{key: _value_of(key) for key in FIGURES},
}
"""What a column sorts by; None comes last in either direction, equals stand in the order of their names."""


class Selection:
    """What `query` finds; its page does not matter here.

    nodes     in order
    counts    how many match the filter, by standing, whatever state was asked for
    state     the standing shown, "" for the active ones; another than asked for when there are only such
    problem   why the filter cannot be read; then nothing is found
    """

    def __init__(self, index: NodeIndex, query: NodeQuery) -> None:
        self.query = query
        self.nodes: Sequence[Node] = ()
        self.counts: Mapping[Standing, int] = {}
        self.state = query.state
        self.problem = ""
        self._index = index
        self._filter = Filter()
        self._fits: dict[Node, tuple[Mapping[str, str], bool]] = {}
        self._made_of: object = None
        try:
            self._filter = parse_filter(query.text)
        except InvalidQuery as error:
            self.problem = error.detail

    @property
    def pages(self) -> int:
        return max(1, -(-len(self.nodes) // ROWS))

    def page(self, number: int) -> Sequence[Node]:
        """The rows of a page; of the last one when there are not so many."""
        first = (min(number, self.pages) - 1) * ROWS
        return self.nodes[first : first + ROWS]

    async def refresh(self, sort_version: int) -> None:
        """Be current; does nothing while neither the nodes nor, as `sort_version` tells, what they sort by changed."""
        made_of = (self._index.version, sort_version)
        if self.problem or made_of == self._made_of:
            return
        found = await self._matching(list(self._index.in_order))
        self.counts = Counter(node.standing for node in found)
        self.state = shown_state(self.query.state, self.counts)
        standings = {Standing(self.state)} if self.state else set(ACTIVE)
        chosen = [node for node in found if node.standing in standings]
        self.nodes = arranged(chosen, self.query.sort, is_descending=self.query.is_descending)
        self._made_of = made_of

    async def _matching(self, nodes: list[Node]) -> list[Node]:
        if not self._filter:
            return nodes
        if len(self._fits) > 2 * len(nodes):
            self._fits.clear()  # most of them are of nodes that are gone
        found, asked = [], 0
        for node in nodes:
            labels, fits = self._fits.get(node, (None, False))
            if labels is not node.listed.labels:
                fits = self._filter.holds(node.haystack, node.listed.labels)
                self._fits[node] = node.listed.labels, fits
                asked += 1
                if asked % _AT_ONCE == 0:
                    await asyncio.sleep(0)
            if fits:
                found.append(node)
        return found


def shown_state(asked: str, counts: Mapping[Standing, int]) -> str:
    """Deregistered nodes stay behind their chip as long as there are others; ended ones always."""
    if asked or any(counts.get(standing) for standing in ACTIVE) or not counts.get(Standing.DEREGISTERED):
        return asked
    return Standing.DEREGISTERED


def arranged(nodes: Sequence[Node], sort: str, *, is_descending: bool) -> Sequence[Node]:
    """Nodes that come in the order of their names, by a column."""
    if sort == "name":
        return nodes[::-1] if is_descending else nodes
    key = _KEYS[sort]
    known = [node for node in nodes if key(node) is not None]
    unknown = [node for node in nodes if key(node) is None]
    return sorted(known, key=key, reverse=is_descending) + unknown
