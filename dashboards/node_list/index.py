"""All nodes of an account as they are known now, in the order of their names."""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from dashboards.node_list.figures import Shown
from domain.ids import NodeId
from domain.matchers import haystack_of
from domain.nodes import NodeState
from schema.heartbeats import Contact
from schema.node_changes import Changes, ListedNode
from schema.unwell import NotOk

_NUMBER = re.compile(r"([0-9]+)")
SortKey = tuple[tuple[str | int, ...], str]


class Standing(StrEnum):
    """What the list tells apart; the worst first. Ephemeral nodes that are gone are many, and seldom looked for."""

    OFFLINE = "offline"
    LATE = "late"
    ONLINE = "online"
    DEREGISTERED = "deregistered"
    ENDED = "ended"


ACTIVE = (Standing.ONLINE, Standing.LATE, Standing.OFFLINE)


@dataclass(slots=True, eq=False)
class Node:
    """One node: as recorded, and as last seen.

    contact     from Redis; None when not read yet, or unknown there
    figures     by key; as of `figures_at` (monotonic seconds, 0 is never)
    unwell      what conditions say of it, where that is not ok
    lasts       figures' last values, also of nodes that no page shows, when a list is sorted by them
    row         as last told to pages
    """

    listed: ListedNode
    key: SortKey
    haystack: str
    standing: Standing
    contact: Contact | None = None
    unwell: Sequence[NotOk] = ()
    figures: Mapping[str, Shown] = field(default_factory=dict)
    figures_at: float = 0.0
    lasts: dict[str, float | None] = field(default_factory=dict)
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.listed.name

    def take(self, listed: ListedNode) -> None:
        """What is recorded now; the name of a node never changes."""
        if listed.labels != self.listed.labels:
            self.haystack = haystack_of(listed.name, listed.labels)
        self.listed = listed
        self.standing = standing_of(listed)


class NodeIndex:
    """`version` counts changes, so that whoever made something of the nodes knows whether it still holds."""

    def __init__(self) -> None:
        self.in_order: list[Node] = []
        self.by_name: dict[str, Node] = {}
        self.version = 0
        self._by_id: dict[NodeId, Node] = {}

    def __len__(self) -> int:
        return len(self.in_order)

    def replace(self, listed: Iterable[ListedNode]) -> None:
        """All nodes there are; what was seen of those that stay is kept."""
        before = self._by_id
        self._by_id = {one.id: _merged(before.get(one.id), one) for one in listed}
        self.in_order = sorted(self._by_id.values(), key=_key)
        self.by_name = {node.name: node for node in self.in_order}
        self.version += 1

    def apply(self, changes: Changes) -> None:
        """Some nodes as they are now, and which are gone."""
        for node_id in changes.gone & self._by_id.keys():
            self._remove(self._by_id.pop(node_id))
        for one in changes.nodes:
            known = self._by_id.get(one.id)
            if known is not None:
                known.take(one)
            else:
                self._add(_merged(None, one))
        if changes.nodes or changes.gone:
            self.version += 1

    def _add(self, node: Node) -> None:
        self._by_id[node.listed.id] = self.by_name[node.name] = node
        self.in_order.insert(bisect_left(self.in_order, node.key, key=_key), node)

    def _remove(self, node: Node) -> None:
        if self.by_name.get(node.name) is node:
            del self.by_name[node.name]
        self.in_order.remove(node)


def natural_key(name: str) -> SortKey:
    """Sorts `web-2` before `web-10`, and capitals beside small letters; equal only for equal names."""
    parts = _NUMBER.split(name.casefold())
    return tuple(int(part) if place % 2 else part for place, part in enumerate(parts)), name


def standing_of(listed: ListedNode) -> Standing:
    if listed.state == NodeState.DEREGISTERED and listed.is_ephemeral:
        return Standing.ENDED
    return Standing(listed.state.value)


def _merged(known: Node | None, listed: ListedNode) -> Node:
    if known is None:
        key, haystack = natural_key(listed.name), haystack_of(listed.name, listed.labels)
        return Node(listed, key, haystack, standing_of(listed))
    known.take(listed)
    return known


def _key(node: Node) -> SortKey:
    return node.key
