"""What a condition makes of all that was found at one instant: readings by group, and the moves they give. Pure."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache, partial
from statistics import fmean
from typing import Final

from domain.condition_specs import Spec, group_sha256
from domain.conditions import NoData, Reading, State, Status, Transition, advance, end, first
from domain.matchers import Matcher
from domain.query import NODE, PERCENTILES, Fold, Query, parse_matcher
from domain.series_key import parse_labelset

_REMEMBERED: Final = 500_000


@dataclass(frozen=True, slots=True)
class Group:
    """The labels that tell one group of a condition from the others, and their digest."""

    sha256: str
    labels: Mapping[str, str] = field(compare=False)


@dataclass(frozen=True, slots=True)
class Measured:
    """One series' value over the window of an instant."""

    node: str
    labelset: str
    value: float


@dataclass(frozen=True, slots=True)
class Found:
    """What there was at one instant for one condition.

    readings  of the groups that were heard
    silent    groups that were heard before, and not for no_data_after_s
    gone      groups that are to be judged no longer, and why
    failure   why nothing could be found
    """

    readings: Mapping[Group, Reading]
    silent: Collection[Group] = ()
    gone: Mapping[Group, str] = field(default_factory=dict)
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Move:
    """One group's change at one instant.

    before, after  what is known of it; `after` None when it is judged no longer
    transition     None when only `quiet_since` changed, or when there is nobody to tell that it is judged no longer
    cause          why it is judged no longer
    """

    group: Group
    before: Status
    after: Status | None
    transition: Transition | None
    at: datetime
    cause: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed, between the two nearest; as graphs have it."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


_ACROSS: Final[Mapping[Fold, Callable[[Sequence[float]], float]]] = {
    "avg": fmean, "min": min, "max": max, "sum": sum, "count": len,
    **{name: partial(percentile, share=share) for name, share in PERCENTILES.items()},
}  # fmt: skip


def judge(spec: Spec, held: dict[Group, Status], found: Found, now: datetime) -> list[Move]:
    """Advance every group of a condition; `held` has those that are not ok, and is brought up to date."""
    moves: list[Move] = []
    if found.failure:
        for group in held or [_WHOLE]:
            _advance(spec, held, group, Reading(failure=found.failure), now, moves)
        return moves
    for group, reading in found.readings.items():
        _advance(spec, held, group, reading, now, moves)
    if _WHOLE in held and held[_WHOLE].state == State.ERROR and _WHOLE not in found.readings:
        _advance(spec, held, _WHOLE, Reading(), now, moves)
    silent = [group for group in found.silent if group not in found.readings]
    for group in silent:
        if group in held or spec.no_data != NoData.OK:
            _advance(spec, held, group, Reading(is_silent=True, severity=spec.severity), now, moves)
    for group, why in found.gone.items():
        status = held.pop(group, None)
        if status is not None:
            moves.append(Move(group, status, None, end(status, why, now), now, why))
    return moves


_WHOLE = Group(group_sha256({}), {})


def measure(query: Query, rows: Iterable[Measured]) -> dict[Group, float]:
    """The query's value for each of its groups; as a graph of the same window as a single bucket shows it."""
    values: dict[Group, list[float]] = {}
    for row in rows:
        group = group_of(query.match, query.by, row.node, row.labelset)
        if group is not None:
            values.setdefault(group, []).append(row.value)
    if query.by is None:
        return {group: of_one[0] for group, of_one in values.items()}
    return {group: across(query.across, of_it) for group, of_it in values.items()}


def across(fold: Fold, values: Sequence[float]) -> float:
    """Several series' values as one."""
    return float(_ACROSS[fold](values))


def nodes_of(query: Query) -> frozenset[str] | None:
    """The only nodes it can be about, where its matchers name one; None for any."""
    named = [matcher.value for matcher in _matchers(query.match) if (matcher.label, matcher.operator) == (NODE, "=")]
    return frozenset(named[:1]) if named else None


@lru_cache(_REMEMBERED)
def group_of(match: tuple[str, ...], by: tuple[str, ...] | None, node: str, labelset: str) -> Group | None:
    """The group that a series belongs to; None when it does not match. Each series is looked at once."""
    labels = {**parse_labelset(labelset), NODE: node}
    if not all(matcher.holds(labels) for matcher in _matchers(match)):
        return None
    if by is None:
        return _group(tuple(sorted(labels.items())))
    return _group(tuple((label, labels[label]) for label in sorted(by) if labels.get(label)))


@lru_cache(_REMEMBERED)
def _group(labels: tuple[tuple[str, str], ...]) -> Group:
    return group(dict(labels))


def group(labels: Mapping[str, str]) -> Group:
    """The group with these labels."""
    return Group(group_sha256(labels), labels)


@lru_cache(10_000)
def _matchers(match: tuple[str, ...]) -> tuple[Matcher, ...]:
    return tuple(parse_matcher(text) for text in match)


def _advance(
    spec: Spec, held: dict[Group, Status], group: Group, reading: Reading, now: datetime, moves: list[Move]
) -> None:
    """Most groups are ok and stay so: those cost nothing but this question."""
    known = held.get(group)
    if known is None and not reading.is_over and not reading.is_silent and not reading.failure:
        return
    before = known or first(now)
    after, transition = advance(before, spec.policy, reading, now)
    if transition or after.quiet_since != before.quiet_since:
        moves.append(Move(group, before, after, transition, now))
    if after.state == State.OK:
        held.pop(group, None)
    else:
        held[group] = after
