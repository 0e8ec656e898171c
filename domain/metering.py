"""Figures of our own processes: what is counted, and how it is handed on.

A process counts in plain objects that belong to whoever does the work (`Histogram`, a `Counter` of collections) and
makes `Family`s of them when it is asked: for Prometheus (api/metrics.py), for Redis as MessagePack
(schema/own_figures.py), and as samples of our own (domain/own_account.py).
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

Kind = Literal["counter", "gauge", "histogram"]
Labels = Mapping[str, str]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of buckets for what takes milliseconds to half a minute."""


class Point(msgspec.Struct, frozen=True, array_like=True):
    """One figure of a family; `suffix` is that of a histogram's parts (`_bucket`, `_sum`, `_count`)."""

    value: float
    labels: dict[str, str] = {}
    suffix: str = ""


class Family(msgspec.Struct, frozen=True, array_like=True):
    """Figures of one name. `name` is without the `_total` that a counter has in its text."""

    name: str
    kind: Kind
    says: str
    points: tuple[Point, ...]

    def labelled(self, labels: Labels) -> "Family":
        """The same, where each figure also has these labels."""
        points = tuple(Point(one.value, {**one.labels, **labels}, one.suffix) for one in self.points)
        return Family(self.name, self.kind, self.says, points)


class Histogram:
    """How many observations fell below each bound, and their sum. For one thread, or under its caller's lock."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Note one; a value on a bound is below it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def points(self, labels: Labels | None = None) -> Iterator[Point]:
        """Its parts as a family has them: cumulative buckets, sum, count."""
        own, below = dict(labels or {}), 0
        for bound, count in zip((*self.bounds, math.inf), self.counts, strict=True):
            below += count
            yield Point(below, {**own, "le": _bound(bound)}, "_bucket")
        yield Point(self.total, own, "_sum")
        yield Point(below, own, "_count")


def gauge(name: str, says: str, value: float) -> Family:
    """A figure that may fall."""
    return Family(name, "gauge", says, (Point(value),))


def gauges(name: str, says: str, label: str, values: Mapping[str, float]) -> Family:
    """One for each value of a label."""
    return Family(name, "gauge", says, tuple(Point(value, {label: key}) for key, value in values.items()))


def counter(name: str, says: str, value: float) -> Family:
    """A figure that only grows while its process lives."""
    return Family(name, "counter", says, (Point(value),))


def counters(name: str, says: str, label: str, values: Mapping[str, float]) -> Family:
    """One for each value of a label."""
    return Family(name, "counter", says, tuple(Point(value, {label: key}) for key, value in values.items()))


def histogram(name: str, says: str, found: Histogram) -> Family:
    """A histogram without labels."""
    return Family(name, "histogram", says, tuple(found.points()))


def merged(families: Iterable[Family]) -> list[Family]:
    """Families of one name put together, in the order in which the names came; what first was said of them stays."""
    found: dict[str, Family] = {}
    for family in families:
        known = found.get(family.name)
        points = family.points if known is None else known.points + family.points
        first = known or family
        found[family.name] = Family(first.name, first.kind, first.says, points)
    return list(found.values())


def _bound(bound: float) -> str:
    """A bucket's bound as Prometheus writes it."""
    return "+Inf" if math.isinf(bound) else repr(float(bound))
