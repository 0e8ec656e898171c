"""The account that the platform keeps for itself: its figures as samples, and a dashboard of them.

Its id is known, so that every process means the same account without asking. Who operates the platform owns it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final
from uuid import UUID

from domain import series_key
from domain.ids import AccountId
from domain.metering import Family, Point

ACCOUNT: Final = AccountId(UUID("00000000-0000-4000-8000-000000000001"))
DASHBOARD: Final = UUID("00000000-0000-4000-8000-000000000002")
NAME: Final = "Metrist itself"
PLATFORM_NODE: Final = "platform"
"""The node whose samples are the stores' and the queues' figures, which are no single process's."""
QUANTILES: Final = {"p50": 0.5, "p95": 0.95}
_TOLD_BY: Final = ("process", "host")

Counts = Mapping[str, float]


def node_of(host: str, process: str) -> str:
    """The name under which a process reports."""
    return f"{host}/{process}"


def operators_of(setting: str) -> frozenset[str]:
    """The addresses that METRIST_OPERATORS names, in lower case."""
    return frozenset(word.lower() for word in setting.replace(",", " ").split())


def samples(families: Iterable[Family], before: Counts) -> tuple[dict[str, float], dict[str, float]]:
    """Figures as samples: their keys and values; and what has to be given back as `before` the next time.

    Counters grow, so that a graph shows their rate. Of a histogram there are its count, and the quantiles of what was
    observed since `before`; none where nothing was.
    """
    found: dict[str, float] = {}
    after: dict[str, float] = {}
    for family in families:
        if family.kind == "histogram":
            _histogram(family, before, found, after)
            continue
        for point in family.points:
            found[_key(family.name, point.labels)] = float(point.value)
    return found, after


def quantile(share: float, bounds: Sequence[float], counts: Sequence[float]) -> float:
    """The value below which a share of the observations lies, straight between the bounds of its bucket.

    counts  of each bucket, not cumulative; one more than bounds. What lies above all bounds is taken for the last one.
    """
    wanted, below, low = share * sum(counts), 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=False):
        if below + count >= wanted and count:
            return low + (bound - low) * (wanted - below) / count
        below, low = below + count, bound
    return low


def _histogram(family: Family, before: Counts, found: dict[str, float], after: dict[str, float]) -> None:
    name = family.name.removesuffix("_seconds")
    for labels, points in _by_labels(family.points):
        bounds = [float(point.labels["le"]) for point in points][:-1]
        totals = [point.value for point in points]
        known = _key(family.name, labels)
        last = [before.get(f"{known} {n}", 0.0) for n in range(len(totals))]
        after.update((f"{known} {n}", total) for n, total in enumerate(totals))
        found[_key(f"{name}_count", labels)] = totals[-1]
        if totals[-1] < last[-1]:
            last = [0.0] * len(totals)  # the process was started anew
        rise = [total - earlier for total, earlier in zip(totals, last, strict=True)]
        counts = [rise[0], *(later - earlier for earlier, later in pairwise(rise))]
        if rise[-1] > 0:
            for called, share in QUANTILES.items():
                found[_key(f"{name}_{called}_seconds", labels)] = quantile(share, bounds, counts)


def _by_labels(points: Sequence[Point]) -> Iterator[tuple[dict[str, str], list[Point]]]:
    """The buckets of each histogram of a family."""
    found: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for point in points:
        if point.suffix == "_bucket":
            labels = tuple((name, value) for name, value in point.labels.items() if name != "le")
            found.setdefault(labels, []).append(point)
    yield from ((dict(labels), buckets) for labels, buckets in found.items())


def _key(name: str, labels: Mapping[str, str]) -> str:
    """`metrist_requests`, `process_open_fds` → `metrist.requests`, `metrist.process_open_fds`."""
    own = {label: value for label, value in labels.items() if label not in _TOLD_BY}
    return series_key.compose(f"metrist.{name.removeprefix('metrist_')}", own)
