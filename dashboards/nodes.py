"""What the table of nodes shows of each node, and how two looks at it differ."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

Node = dict[str, Any]
"""{name, state, labels, contact_s (Unix seconds or None), figures: {key: {last, minutes}}}, as the browser gets it."""

MINUTES: Final = 30
LAST_MINUTES: Final = 3
"""A figure's last value may be this old; an older one is history."""


@dataclass(frozen=True)
class Figure:
    """A column of the table: one metric of each node; `across` makes one value of its series' values in a minute."""

    title: str
    metric: str
    across: Callable[[Sequence[float]], float]


FIGURES: dict[str, Figure] = {
    "cpu": Figure("CPU", "cpu.usage_percent", fmean),
    "mem": Figure("Memory", "mem.used_percent", max),
    "disk": Figure("Disk", "disk.used_percent", max),
    "load": Figure("Load", "load.1m", max),
    "net": Figure("Net in", "net.received_bytes_per_s", sum),
}


@dataclass(frozen=True)
class Minutes:
    """One series of a node: (Unix seconds, average) of each minute that has samples."""

    node: str
    metric: str
    labels: Mapping[str, str]
    points: Sequence[tuple[float, float]]


@dataclass
class Changes:
    """What a page has to learn to be current; a later one is merged into one not yet sent."""

    nodes: dict[str, Node] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.nodes or self.removed)

    def merge(self, later: "Changes") -> None:
        """Take in what happened since; grows with the number of nodes, never with time."""
        for name, node in later.nodes.items():
            self.nodes[name] = self.nodes.get(name, {}) | node
            self.removed.discard(name)
        for name in later.removed:
            self.nodes.pop(name, None)
            self.removed.add(name)

    def only(self, name: str) -> "Changes":
        """The same for a page of one node."""
        return Changes({name: self.nodes[name]} if name in self.nodes else {}, self.removed & {name})


def changes(before: Mapping[str, Node], after: Mapping[str, Node]) -> Changes:
    """What turns one view into the other: changed fields by node, and who is gone."""
    changed = {name: _changed_fields(before.get(name, {}), node) for name, node in after.items()}
    return Changes({name: node for name, node in changed.items() if node}, before.keys() - after.keys())


def figures_of(series: Iterable[Minutes], now_s: float) -> dict[str, dict[str, Any]]:
    """Node name → figures, each the last value and one value a minute (None where there is none).

    A series without labels is the node's own total, and then the others are its parts.
    """
    by_figure: dict[tuple[str, str], list[Minutes]] = {}
    keys = {figure.metric: key for key, figure in FIGURES.items()}
    for one in series:
        by_figure.setdefault((one.node, keys[one.metric]), []).append(one)
    found: dict[str, dict[str, Any]] = {}
    for (node, key), members in by_figure.items():
        found.setdefault(node, {})[key] = _figure(_totals_or_all(members), FIGURES[key], now_s)
    return found


def first_minute(now_s: float) -> int:
    """Unix seconds at which the sparklines begin."""
    return (int(now_s) // 60 - MINUTES + 1) * 60


def _totals_or_all(series: list[Minutes]) -> list[Minutes]:
    return [one for one in series if not one.labels] or series


def _figure(series: list[Minutes], figure: Figure, now_s: float) -> dict[str, Any]:
    start_s = first_minute(now_s)
    values: list[list[float]] = [[] for _ in range(MINUTES)]
    for ts_s, value in (point for one in series for point in one.points):
        minute = int(ts_s - start_s) // 60
        if 0 <= minute < MINUTES:
            values[minute].append(value)
    minutes = [float(f"{figure.across(several):.4g}") if several else None for several in values]
    last = next((value for value in reversed(minutes[-LAST_MINUTES:]) if value is not None), None)
    return {"last": last, "minutes": minutes}


def _changed_fields(before: Node, after: Node) -> Node:
    changed = {key: value for key, value in after.items() if key not in before or before[key] != value}
    return changed | {"name": after["name"]} if changed else {}
