"""What there was for conditions at the instants that are to be judged: from series, from nodes, from reports."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from domain import ticks
from domain.condition_specs import Condition, MetricRule, NodesRule, ReportedRule
from domain.conditions import Status
from domain.errors import InvalidQuery
from domain.evaluation import Found, Group, Measured, group, group_of, measure, nodes_of
from domain.ids import AccountId
from domain.liveness import Hearing
from domain.query import NODE
from schema import node_moves, readings, reports
from schema.node_moves import Story
from schema.readings import Ask, Values
from workers.stores import Stores

FORGOTTEN_AFTER_S: Final = 86_400
"""A series that was not heard for so long is not missed any more."""
GROUPS_MAX: Final = 2_000
"""Of one condition."""
NO_SERIES = "nothing was heard of it for a day"
DEREGISTERED = "the node was deregistered"
REMOVED = "the node was removed"
UNMATCHED = "the node does not match any more"

Held = Mapping[UUID, Mapping[Group, Status]]


@dataclass(frozen=True, slots=True)
class Shape:
    """What conditions have in common that are judged together: the instants, and where the readings come from."""

    kind: type
    every_s: int
    before: datetime
    window_s: int = 0
    is_rate: bool = False


def shape_of(condition: Condition, evaluated_to: datetime) -> Shape:
    """Conditions of one shape are served by one question."""
    rule = condition.spec.rule
    if isinstance(rule, MetricRule):
        return Shape(MetricRule, rule.every_s, evaluated_to, rule.window_s, rule.query.over == "rate")
    return Shape(type(rule), rule.every_s, evaluated_to)


def find(
    stores: Stores,
    account_id: AccountId,
    shape: Shape,
    conditions: Sequence[Condition],
    instants: Sequence[datetime],
    hearing: Hearing | None,
    held: Held,
) -> Iterator[tuple[datetime, dict[UUID, Found]]]:
    """By instant, and by condition, what there was. Raises StoreUnavailable."""
    if shape.kind is MetricRule:
        for at in instants:
            yield at, _Metrics(stores, account_id, shape, conditions, held).at(at, hearing)
    elif shape.kind is NodesRule:
        yield from _of_nodes(stores, account_id, shape, conditions, instants, held)
    else:
        yield from _of_reports(stores, account_id, conditions, instants, hearing, held)


class _Metrics:
    """Conditions on series, of one shape."""

    def __init__(
        self, stores: Stores, account_id: AccountId, shape: Shape, conditions: Sequence[Condition], held: Held
    ) -> None:
        self._stores = stores
        self._account_id = account_id
        self._shape = shape
        self._conditions = conditions
        self._held = held

    def at(self, at: datetime, hearing: Hearing | None) -> dict[UUID, Found]:
        """What all of them found; who asks for too much fails alone."""
        try:
            return self._found(self._conditions, at, hearing)
        except InvalidQuery as error:
            if len(self._conditions) == 1:
                return {self._conditions[0].id: Found({}, failure=error.detail)}
        found: dict[UUID, Found] = {}
        for condition in self._conditions:
            alone = _Metrics(self._stores, self._account_id, self._shape, [condition], self._held)
            found |= alone.at(at, hearing)
        return found

    def _found(self, conditions: Sequence[Condition], at: datetime, hearing: Hearing | None) -> dict[UUID, Found]:
        to_s = int(at.timestamp())
        ask = Ask(
            sorted({_rule(one).query.metric for one in conditions}),
            to_s - self._shape.window_s,
            to_s,
            _nodes(conditions),
        )
        read = readings.read_rates if self._shape.is_rate else readings.read
        values = read(self._stores.clickhouse, self._account_id, ask)
        heard = self._heard(ask, to_s) if ticks.is_minute(at, self._shape.every_s) else None
        return {one.id: self._of(one, values, heard, at, hearing) for one in conditions}

    def _heard(self, ask: Ask, to_s: int) -> Values:
        return readings.last_heard(self._stores.clickhouse, self._account_id, ask, to_s - FORGOTTEN_AFTER_S)

    def _of(
        self,
        condition: Condition,
        values: Values,
        heard: Values | None,
        at: datetime,
        hearing: Hearing | None,
    ) -> Found:
        rule, spec = _rule(condition), condition.spec
        measured = measure(rule.query, values.of(rule.query.metric, rule.query.over, nodes_of(rule.query)))
        if len(measured) > GROUPS_MAX:
            return Found({}, failure=f"it has {len(measured)} groups; at most {GROUPS_MAX} are judged")
        found = {one: rule.reading(value, spec.severity) for one, value in measured.items()}
        if heard is None:
            return Found(found)
        last = _last(rule, heard.of(rule.query.metric, "last", nodes_of(rule.query)))
        silent_since = at - timedelta(seconds=max(spec.no_data_after_s, rule.window_s))
        is_theirs = ticks.could_hear(hearing, silent_since, at)
        silent = [one for one, last_s in last.items() if one not in found and last_s < silent_since.timestamp()]
        held = self._held.get(condition.id, {})
        gone = {one: NO_SERIES for one in held if one.labels and one not in found and one not in last}
        return Found(found, silent[:GROUPS_MAX] if is_theirs else (), gone if is_theirs else {})


def _rule(condition: Condition) -> MetricRule:
    assert isinstance(condition.spec.rule, MetricRule)
    return condition.spec.rule


def _nodes(conditions: Iterable[Condition]) -> set[str] | None:
    """The nodes that they are about, when each is about one."""
    found: set[str] = set()
    for condition in conditions:
        named = nodes_of(_rule(condition).query)
        if named is None:
            return None
        found |= named
    return found


def _last(rule: MetricRule, heard: Iterable[Measured]) -> dict[Group, float]:
    """When each group was last heard, Unix seconds."""
    last: dict[Group, float] = {}
    for one in heard:
        its = group_of(rule.query.match, rule.query.by, one.node, one.labelset)
        if its is not None:
            last[its] = max(one.value, last.get(its, 0.0))
    return last


def _of_nodes(
    stores: Stores,
    account_id: AccountId,
    shape: Shape,
    conditions: Sequence[Condition],
    instants: Sequence[datetime],
    held: Held,
) -> Iterator[tuple[datetime, dict[UUID, Found]]]:
    """At each instant, and at each move of a node between them."""
    names = {one.labels[NODE] for condition in conditions for one in held.get(condition.id, {}) if NODE in one.labels}
    stories = node_moves.since(stores.control, account_id, shape.before, names)
    removed = names - {story.name for story in stories}
    moments = {at for story in stories for at, _ in story.moves if at <= instants[-1]} | set(instants)
    for at in sorted(moments):
        yield at, {one.id: _standing(one, stories, removed, at) for one in conditions}


def _standing(condition: Condition, stories: Iterable[Story], removed: Iterable[str], at: datetime) -> Found:
    rule = condition.spec.rule
    assert isinstance(rule, NodesRule)
    found, gone = {}, {group({NODE: name}): REMOVED for name in removed}
    for story in stories:
        one = group({NODE: story.name})
        if not all(matcher.holds({**story.labels, NODE: story.name}) for matcher in rule.matchers):
            gone[one] = UNMATCHED
            continue
        reading = rule.reading(story.at(at), condition.spec.severity)
        if reading is None:
            gone[one] = DEREGISTERED
        else:
            found[one] = reading
    return Found(found, (), gone)


def _of_reports(
    stores: Stores,
    account_id: AccountId,
    conditions: Sequence[Condition],
    instants: Sequence[datetime],
    hearing: Hearing | None,
    held: Held,
) -> Iterator[tuple[datetime, dict[UUID, Found]]]:
    """What was last said holds at every instant after that."""
    kept = reports.all_of(stores.redis, account_id)
    _forget(stores, account_id, kept, instants[-1])
    for at in instants:
        yield at, {one.id: _said(one, kept.get(one.id, ()), at, hearing, held.get(one.id, {})) for one in conditions}


def _said(
    condition: Condition,
    kept: Sequence[reports.Report],
    at: datetime,
    hearing: Hearing | None,
    held: Mapping[Group, Status],
) -> Found:
    """Redis may have lost what was said; only what it would remember for a day, and does not, is gone."""
    rule, spec = condition.spec.rule, condition.spec
    assert isinstance(rule, ReportedRule)
    silent_since = at - timedelta(seconds=spec.no_data_after_s)
    is_theirs = ticks.could_hear(hearing, silent_since, at)
    found, silent = {}, []
    for report in kept:
        if report.at >= silent_since:
            found[report.group] = rule.reading(report.level, report.message)
        elif is_theirs:
            silent.append(report.group)
    remembers = hearing is not None and at.timestamp() * 1000 - hearing.since_ms > FORGOTTEN_AFTER_S * 1000
    known = {report.group for report in kept}
    return Found(found, silent, {one: NO_SERIES for one in held if one not in known} if remembers else {})


def _forget(
    stores: Stores, account_id: AccountId, kept: Mapping[UUID, Sequence[reports.Report]], now: datetime
) -> None:
    old = [one.field for of_one in kept.values() for one in of_one if now - one.at > reports.FORGOTTEN_AFTER]
    reports.forget(stores.redis, account_id, old)
