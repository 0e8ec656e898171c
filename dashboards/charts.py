"""From the series of a node to the graphs of its page: groups, titles, units, names of lines.

Pure: what the lines look like and when they are fetched is the browser's (`static/panel.js`).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import count, groupby

from dashboards.format import Unit, unit_of, without_unit

GROUP_TITLES = {
    "cpu": "CPU",
    "load": "Load",
    "mem": "Memory",
    "swap": "Swap",
    "disk": "Disk",
    "net": "Network",
    "process": "Processes",
    "temperature": "Temperature",
    "fan": "Fans",
    "battery": "Battery",
    "system": "System",
    "agent": "Agent",
}
"""Groups people look for first, in this order; all others follow by name."""

FIRST = ("cpu.usage_percent", "mem.used_percent", "swap.used_percent", "disk.used_percent")
"""Metrics that open their group; all others follow by name."""

TITLES = {
    "load.1m": "1 minute average",
    "load.5m": "5 minute average",
    "load.15m": "15 minute average",
    "temperature.celsius": "Sensors",
    "process.count": "Running",
    "cpu.iowait_percent": "I/O wait",
    "cpu.irq_percent": "Hardware interrupts",
    "cpu.softirq_percent": "Software interrupts",
}
"""Metrics whose own name makes a poor title."""

COLOURS, DASHES = 8, 3
"""How many colours the lines of a graph have, and how many ways to draw each."""

TOTAL = "total"
"""Name of the line without labels beside lines that have some."""


@dataclass(frozen=True)
class Latest:
    """One series of a node and the last sample it has."""

    metric: str
    labels: Mapping[str, str]
    ts_s: float
    value: float | None


@dataclass(frozen=True)
class Line:
    """One series as a graph draws it; an empty name means the graph's title says it all, css is how it looks."""

    name: str
    labels: Mapping[str, str]
    ts_s: float
    value: float | None
    css: str


@dataclass(frozen=True)
class Panel:
    """One metric as one graph."""

    metric: str
    title: str
    unit: Unit
    lines: tuple[Line, ...]

    @property
    def newest_s(self) -> float:
        return max(line.ts_s for line in self.lines)


@dataclass(frozen=True)
class Group:
    """Graphs whose metrics share the first part of their names."""

    key: str
    title: str
    panels: tuple[Panel, ...]


def group(series: Iterable[Latest]) -> tuple[Group, ...]:
    """Arrange every series of a node, in a stable order whatever order they came in."""
    by_metric = sorted(series, key=lambda one: (_group_rank(one.metric), _metric_rank(one.metric)))
    panels = [_panel(metric, list(lines)) for metric, lines in groupby(by_metric, key=lambda one: one.metric)]
    return tuple(
        Group(key, GROUP_TITLES.get(key, _words(without_unit(key))), tuple(members))
        for key, members in groupby(panels, key=lambda panel: group_key(panel.metric))
    )


def group_key(metric: str) -> str:
    """The first part of a metric's name."""
    return metric.partition(".")[0]


def title_of(metric: str) -> str:
    """What to call a graph under its group's heading: `cpu.usage_percent` is `Usage`."""
    if metric in TITLES:
        return TITLES[metric]
    bare = without_unit(metric)
    return _words(bare.partition(".")[2] or bare)


def line_names(labelsets: list[Mapping[str, str]]) -> list[str]:
    """Names that tell lines of one graph apart: the values of the labels that differ, or of all when none do."""
    keys = sorted({key for labels in labelsets for key in labels})
    telling = [key for key in keys if len({labels.get(key) for labels in labelsets}) > 1] or keys
    unnamed = TOTAL if len(labelsets) > 1 else ""
    return [" · ".join(labels[key] for key in telling if key in labels) or unnamed for labels in labelsets]


def natural_key(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `core 10` after `core 2`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name)
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in parts)


def _panel(metric: str, series: list[Latest]) -> Panel:
    named = zip(line_names([one.labels for one in series]), series, strict=True)
    ordered = sorted(named, key=lambda pair: (pair[0] != TOTAL, natural_key(pair[0])))
    looks = _looks([name == TOTAL for name, _ in ordered])
    lines = (Line(name, one.labels, one.ts_s, one.value, css) for (name, one), css in zip(ordered, looks, strict=True))
    return Panel(metric, title_of(metric), unit_of(metric), tuple(lines))


def _looks(is_total: list[bool]) -> list[str]:
    """Class names of lines: a total stands out, the others take one colour after the other, then another dash."""
    plain = (f"c{n % COLOURS}" + (f" dash{dash}" if (dash := n // COLOURS % DASHES) else "") for n in count())
    return ["main" if total else next(plain) for total in is_total]


def _group_rank(metric: str) -> tuple[int, str]:
    key = group_key(metric)
    known = list(GROUP_TITLES)
    return (known.index(key) if key in known else len(known), key)


def _metric_rank(metric: str) -> tuple[bool, tuple[tuple[int, int, str], ...], str]:
    return (metric not in FIRST, natural_key(metric), metric)


def _words(name: str) -> str:
    text = re.sub(r"[._]+", " ", name).strip()
    return text[:1].upper() + text[1:]
