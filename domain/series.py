"""Selector, window, points → which stored resolution answers, and on which grid.

Grid: bucket k covers [k·step, (k+1)·step) in Unix time, as toStartOfInterval in UTC. A step that a rollup answers is a
multiple of the rollup's own, so that every read bucket is made of whole stored ones and equals the raw read resampled.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from domain.errors import InvalidQuery

Aggregation = Literal["avg", "min", "max", "sum", "last", "count"]
Across = Literal["none", "avg", "min", "max", "sum"]
AGGREGATIONS: tuple[Aggregation, ...] = ("avg", "min", "max", "sum", "last", "count")
ACROSS: tuple[Across, ...] = ("none", "avg", "min", "max", "sum")

STEPS_S = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800,
)  # fmt: skip
POINTS_DEFAULT = 600
POINTS_MAX = 11_000
SERIES_MAX = 20_000
WHOLE_BUCKETS_MIN = 100
KEPT_S = 60.0
CLOSED_AFTER_S = 300
"""A bucket that ended so long ago has got what it gets, but for late samples: its answers may be remembered."""


@dataclass(frozen=True)
class Resolution:
    """A stored tier: its name in replies, its table, the width of its buckets (0 for single samples)."""

    name: Literal["raw", "1m", "1h"]
    table: Literal["samples", "samples_1m", "samples_1h"]
    width_s: int


RAW = Resolution("raw", "samples", 0)
MINUTE = Resolution("1m", "samples_1m", 60)
HOUR = Resolution("1h", "samples_1h", 3_600)
COARSEST_FIRST = (HOUR, MINUTE, RAW)


@dataclass(frozen=True)
class Window:
    """[from_s, to_s) in Unix seconds."""

    from_s: float
    to_s: float

    @property
    def length_s(self) -> float:
        return self.to_s - self.from_s


@dataclass(frozen=True)
class Retention:
    """How long each tier is kept, seconds."""

    raw_s: int
    minute_s: int
    hour_s: int

    def of(self, resolution: Resolution) -> int:
        return {"raw": self.raw_s, "1m": self.minute_s, "1h": self.hour_s}[resolution.name]


@dataclass(frozen=True)
class Selector:
    """Which series: metric names (`*` matches any text), nodes (none is every node), labels that must be equal."""

    metrics: Sequence[str]
    nodes: Sequence[str] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is read: [from_s, to_s) cut to whole buckets of step_s, from one stored tier."""

    resolution: Resolution
    step_s: int
    from_s: int
    to_s: int


def step_for(length_s: float, points: int) -> int:
    """The shortest usual step that gives at most `points` buckets."""
    wanted = length_s / points
    for step_s in STEPS_S:
        if step_s >= wanted:
            return step_s
    week = STEPS_S[-1]
    return int(-(-wanted // week)) * week


def resolution_for(window: Window, step_s: int, retention: Retention, now_s: float) -> Resolution:
    """The coarsest tier whose buckets fit into the step; a coarser one where finer samples are no longer kept."""
    fitting = [
        tier for tier in COARSEST_FIRST if tier.width_s <= step_s and (not tier.width_s or step_s % tier.width_s == 0)
    ]
    kept = [tier for tier in COARSEST_FIRST if now_s - window.from_s <= retention.of(tier)]
    for tier in fitting:
        if tier in kept:
            return tier
    return kept[-1] if kept else HOUR


def plan(window: Window, points: int, retention: Retention, now_s: float, step_s: int | None = None) -> Plan:
    """Choose step and tier for a window; raises InvalidQuery for one that can't be read."""
    if not window.length_s > 0:
        raise InvalidQuery("`from` must be before `to`")
    if not 1 <= points <= POINTS_MAX:
        raise InvalidQuery(f"`points` must be from 1 to {POINTS_MAX}")
    step = step_for(window.length_s, points) if step_s is None else step_s
    if step < 1 or window.length_s / step > POINTS_MAX:
        raise InvalidQuery(f"`step` must be at least 1 s and give at most {POINTS_MAX} buckets")
    tier = resolution_for(window, step, retention, now_s)
    if tier.width_s:
        step = -(-step // tier.width_s) * tier.width_s
    first = int(window.from_s // step) * step
    last = -int(-window.to_s // step) * step
    return Plan(tier, step, first, last)


def closed_until(plan: Plan, now_s: float) -> int:
    """Where the closed buckets of a plan end, Unix seconds on its grid: from its `from_s`, none, to its `to_s`, all."""
    closed_s = int((now_s - CLOSED_AFTER_S) // plan.step_s) * plan.step_s
    return min(max(closed_s, plan.from_s), plan.to_s)


def kept_s(step_s: int, *, is_closed: bool) -> float:
    """How long an answer may be given again: one with open buckets, for a sixtieth of their width; 0 is not at all."""
    if is_closed:
        return KEPT_S
    return min(KEPT_S, step_s / 60) if step_s >= 60 else 0.0


def whole(plan: Plan) -> Plan:
    """For a question about a plan's window as a whole: from the coarsest tier that has a hundred buckets in it.

    The window is widened to whole buckets of that tier: by a hundredth at each edge, at most.
    """
    for tier in COARSEST_FIRST:
        width_s = max(tier.width_s, 1)
        if tier.width_s <= plan.resolution.width_s:
            return plan
        if plan.to_s - plan.from_s >= WHOLE_BUCKETS_MIN * width_s:
            return Plan(tier, plan.step_s, plan.from_s // width_s * width_s, -(-plan.to_s // width_s) * width_s)
    return plan


_RELATIVE = re.compile(r"now(?:-(\d+(?:\.\d+)?)([smhdwy]))?")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}


def instant(text: str, now_s: float) -> float:
    """Unix seconds from `now`, `now-6h` or a number of seconds; raises InvalidQuery."""
    match = _RELATIVE.fullmatch(text)
    if match:
        return now_s - float(match[1]) * _UNIT_S[match[2]] if match[1] else now_s
    try:
        found = float(text)
    except ValueError:
        found = float("nan")
    if not -1e11 < found < 1e11:
        raise InvalidQuery(f"a time must be Unix seconds, `now` or like `now-6h`, not {text[:40]!r}")
    return found
