"""What a change of a status gives to tell: the notice that deliveries are made of, and its one line for people."""

import re
from collections.abc import Mapping
from typing import Any, Final

from domain.condition_specs import Condition, MetricRule, NodesRule, Spec, as_json
from domain.conditions import News, State, Transition
from domain.deliveries import Kind, Notice
from domain.evaluation import Group, Move
from domain.query import matcher_text

_PLACE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_.]*)\s*\}\}")
_SUMMARY_MAX: Final = 500
_SIDES = {">": "above", ">=": "at or above", "<": "below", "<=": "at or below"}
_OVER = {"avg": "average", "min": "minimum", "max": "maximum", "sum": "sum", "last": "last value", "count": "count",
         "rate": "rate"}  # fmt: skip


def notice_of(condition: Condition, move: Move, stream: str, version: int, recording: str = "") -> Notice | None:
    """What there is to tell of a move; None for what is only shown."""
    transition = move.transition
    if transition is None or transition.news is None:
        return None
    is_over = transition.news == News.RESOLVED
    began_at = move.before.told_since if is_over else move.after.told_since if move.after else None
    return Notice(
        stream=stream,
        version=version,
        kind=Kind.RESOLVED if is_over else Kind.FIRING,
        condition_id=str(condition.id),
        condition=condition.name,
        labels={**condition.spec.labels, **move.group.labels},
        severity=transition.severity.value,
        state=State.OK.value if is_over else transition.after.value,
        summary=summary(condition, move.group, transition, move.cause),
        began_at=began_at or transition.at,
        at=transition.at,
        value=transition.value,
        runbook=condition.spec.runbook,
        graph=_graph(condition.spec, move.group),
        recording=recording,
    )


def summary(condition: Condition, group: Group, transition: Transition, cause: str = "") -> str:
    """One line: as the condition's own message says while it fires, else in our words."""
    spec = condition.spec
    if spec.message and transition.after == State.FIRING:
        return render(spec.message, places(condition, group, transition))
    if cause:
        return f"judged no longer: {cause}"
    match transition.after:
        case State.NO_DATA:
            return f"no data for {length(spec.no_data_after_s)}"
        case State.ERROR:
            return f"it could not be judged: {transition.message}"
    if isinstance(spec.rule, MetricRule):
        return _metric_said(spec.rule, transition)
    return transition.message or ("it is ok" if transition.after == State.OK else "it is not ok")


def render(template: str, known: Mapping[str, str]) -> str:
    """A message with `{{ value }}` and the like replaced; what is not known is left out. Nothing else is a command."""
    return " ".join(_PLACE.sub(lambda place: known.get(place[1], ""), template).split())[:_SUMMARY_MAX]


def places(condition: Condition, group: Group, transition: Transition) -> dict[str, str]:
    """What a message may speak of: `value`, `threshold`, `name`, `severity`, `state`, `reason` and `labels.…`."""
    spec = condition.spec
    labels = {**spec.labels, **group.labels}
    return {
        "name": condition.name,
        "value": number(transition.value),
        "threshold": number(spec.rule.threshold) if isinstance(spec.rule, MetricRule) else "",
        "severity": transition.severity.value,
        "state": transition.after.value,
        "reason": transition.message,
        **{f"labels.{name}": text for name, text in labels.items()},
    }


def sentence(spec: Spec) -> str:
    """What a condition says, for people: average of cpu.user over 1 min is above 90."""
    rule = spec.rule
    if isinstance(rule, MetricRule):
        where = f" where {', '.join(rule.query.match)}" if rule.query.match else ""
        what = f"{_OVER[rule.query.over]} of {rule.query.metric} over {length(rule.window_s)}{where}"
        told = f"{what} is {_SIDES[rule.comparison]} {number(rule.threshold)}"
    elif isinstance(rule, NodesRule):
        where = f" where {', '.join(rule.match)}" if rule.match else ""
        told = f"a node{where} is {'late or offline' if rule.silent == 'late' else 'offline'}"
    else:
        told = f"the status {rule.status} is reported as {'warning or ' if rule.least == 'warning' else ''}critical"
    return f"{told} for {length(spec.hold_s)}" if spec.hold_s else told


def number(value: float | None) -> str:
    """A value in a line of text."""
    if value is None:
        return ""
    return f"{value:,.0f}".replace(",", " ") if 1e3 <= abs(value) < 1e9 else f"{value:.4g}"


def length(seconds: float) -> str:
    """So many seconds, minutes, hours, days, as people say them."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{int(seconds // unit)} {name}"
    return f"{seconds:g} s"


def _metric_said(rule: MetricRule, transition: Transition) -> str:
    what = f"{_OVER[rule.query.over]} of {rule.query.metric} over {length(rule.window_s)}"
    value = f"{what} is {number(transition.value)}" if transition.value is not None else what
    limit = rule.threshold if rule.clear is None or transition.after != State.OK else rule.clear
    return f"{value}, {'not ' if transition.after == State.OK else ''}{_SIDES[rule.comparison]} {number(limit)}"


def _graph(spec: Spec, group: Group) -> dict[str, Any]:
    """The group's line and its threshold."""
    if not isinstance(spec.rule, MetricRule):
        return {}
    rule = as_json(spec)["rule"]
    named = [matcher_text(label, "=", text) for label, text in group.labels.items()]
    return {"query": {**rule["query"], "match": [*rule["query"]["match"], *named]}, "threshold": spec.rule.threshold}
