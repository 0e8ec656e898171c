"""What a condition would have told of, had it been judged over what is stored: incidents, and how many at other limits.

Judged at each step of a grid, with a window of one step. Only readings that can change anything are looked at, which
gives the same as looking at all of them (a test holds the two together) and lets a month be tried ten times over.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain, groupby
from math import ceil, floor, log10
from operator import itemgetter
from typing import Final

import msgspec

from domain.condition_specs import MetricRule, Spec
from domain.conditions import NoData, Reading, advance, first
from domain.evaluation import Group

OTHERS: Final = 8
"""Limits that are tried beside the one that was asked for."""
_SHARES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0)
_AS_SILENCE: Final = {NoData.OK: (False, True), NoData.FIRING: (True, False)}
"""Silence that counts as over or clear goes on with what was so before."""


@dataclass(frozen=True, slots=True)
class Line:
    """One group's values on the grid, None where nothing was heard."""

    group: Group
    values: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class Incident:
    """One time that it would have fired: from when till when, and the worst value; without end it fires still."""

    group: Group
    began_at: datetime
    ended_at: datetime | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one limit gives."""

    threshold: float
    incidents: Sequence[Incident]

    @property
    def notices(self) -> int:
        """Messages that something fires, before any are grouped or silenced."""
        return len(self.incidents)

    def fired(self, until: datetime) -> timedelta:
        """How long it would have fired, all groups together."""
        return sum(((one.ended_at or until) - one.began_at for one in self.incidents), timedelta())


def play(spec: Spec, lines: Iterable[Line], from_s: int, step_s: int) -> Outcome:
    """Judge every group over the grid that begins at `from_s`."""
    rule = _rule(spec)
    found = chain.from_iterable(_incidents(spec, line, from_s, step_s) for line in lines)
    return Outcome(rule.threshold, sorted(found, key=lambda one: one.began_at))


def others(spec: Spec, lines: Iterable[Line]) -> list[Spec]:
    """The same condition with other limits, round numbers where values were, the limit to be ok again moved along."""
    rule = _rule(spec)
    values = sorted(value for line in lines for value in line.values if value is not None)
    if not values:
        return []
    tried = {_round(values[min(int(share * len(values)), len(values) - 1)]) for share in _SHARES}
    near = sorted(tried - {rule.threshold}, key=lambda limit: abs(limit - rule.threshold))[:OTHERS]
    return [with_threshold(spec, limit) for limit in sorted(near)]


def with_threshold(spec: Spec, threshold: float) -> Spec:
    """The same with another limit."""
    rule = _rule(spec)
    clear = None if rule.clear is None else threshold + (rule.clear - rule.threshold)
    return msgspec.structs.replace(spec, rule=msgspec.structs.replace(rule, threshold=threshold, clear=clear))


def readings(spec: Spec, values: Sequence[float | None], step_s: int) -> Iterator[tuple[int, Reading]]:
    """By place in the grid, the readings that can change anything."""
    rule, policy = _rule(spec), spec.policy
    waits = {True: ceil(policy.hold_s / step_s), False: ceil(policy.keep_firing_s / step_s)}
    for _, run in groupby(_classes(spec, values, step_s), key=itemgetter(1)):
        places = [place for place, _ in run]
        yield places[0], _reading(rule, spec, values[places[0]])
        for wait in sorted({wait for wait in waits.values() if wait}):
            at = bisect_left(places, places[0] + wait)
            if at < len(places):
                yield places[at], _reading(rule, spec, values[places[at]])


def all_readings(spec: Spec, values: Sequence[float | None], step_s: int) -> Iterator[tuple[int, Reading]]:
    """Every reading there is; a gap is silence when it has lasted long enough."""
    for place, _ in _classes(spec, values, step_s):
        yield place, _reading(_rule(spec), spec, values[place])


def _classes(spec: Spec, values: Sequence[float | None], step_s: int) -> Iterator[tuple[int, object]]:
    """Places that have a reading, and what kind: neighbours of one kind differ only in their value."""
    rule = _rule(spec)
    silent_after = ceil(spec.no_data_after_s / step_s)
    heard: int | None = None
    for place, value in enumerate(values):
        if value is not None:
            heard = place
            found = rule.reading(value, spec.severity)
            yield place, (found.is_over, found.is_clear)
        elif heard is not None and place - heard >= silent_after:
            yield place, _AS_SILENCE.get(spec.no_data)


def _reading(rule: MetricRule, spec: Spec, value: float | None) -> Reading:
    return Reading(is_silent=True, severity=spec.severity) if value is None else rule.reading(value, spec.severity)


def _incidents(spec: Spec, line: Line, from_s: int, step_s: int) -> Iterator[Incident]:
    status, began = first(_at(from_s, 0, step_s)), None
    for place, reading in readings(spec, line.values, step_s):
        status, transition = advance(status, spec.policy, reading, _at(from_s, place, step_s))
        if transition is None or transition.news is None:
            continue
        is_open = status.told is not None
        if is_open and began is None:
            began = place
        elif not is_open and began is not None:
            yield _incident(spec, line, began, place, from_s, step_s)
            began = None
    if began is not None:
        yield _incident(spec, line, began, None, from_s, step_s)


def _incident(spec: Spec, line: Line, began: int, ended: int | None, from_s: int, step_s: int) -> Incident:
    values = [value for value in line.values[began:ended] if value is not None]
    worst = (max if _rule(spec).comparison in (">", ">=") else min)(values, default=None)
    ended_at = None if ended is None else _at(from_s, ended, step_s)
    return Incident(line.group, _at(from_s, began, step_s), ended_at, worst)


def _at(from_s: int, place: int, step_s: int) -> datetime:
    """A bucket is judged at its end."""
    return datetime.fromtimestamp(from_s + (place + 1) * step_s, UTC)


def _round(value: float) -> float:
    """To two digits that matter."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (floor(log10(abs(value))) - 1)
    return round(round(value / unit) * unit, 12)


def _rule(spec: Spec) -> MetricRule:
    assert isinstance(spec.rule, MetricRule)
    return spec.rule
