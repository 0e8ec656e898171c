"""What people write as a status condition, as JSON in the control DB, and what it makes of what was measured.

    {"rule": {"kind": "metric", "query": {"id": "A", "metric": "cpu.usage_percent", "by": ["node"]}, "window_s": 60,
              "every_s": 10, "comparison": ">", "threshold": 90, "clear": 80},
     "hold_s": 60, "keep_firing_s": 0, "no_data": "show", "no_data_after_s": 300, "severity": "critical",
     "labels": {"team": "web"}, "runbook": "https://…", "message": "{{ labels.node }} is at {{ value }}",
     "capture": {"when": "firing", "minutes": 5}}

Three rules: a metric's value, how nodes stand, and statuses that agents and monitors report by themselves.
"""

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlsplit
from uuid import UUID

import msgspec

from domain.conditions import NoData, Policy, Reading, Severity
from domain.errors import InvalidBody
from domain.ids import AccountId
from domain.matchers import Matcher
from domain.nodes import NodeState
from domain.query import Graph, Query, check, parse_matcher

Comparison = Literal[">", ">=", "<", "<="]
Level = Literal["ok", "warning", "critical", "unknown"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "critical", "unknown")

EVERY_S: Final = (2, 5, 10, 15, 30, 60, 300)
"""How often a condition may be judged; each divides an hour, so that instants are the same whoever judges."""
WINDOW_MAX_S: Final = 86_400
ROLLED_FROM_S: Final = 600
"""A window so long is read from the 1m rollup, at whole minutes."""
HOLD_MAX_S: Final = 86_400
NAME_MAX, MESSAGE_MAX, URL_MAX = 100, 500, 500
LABELS_MAX: Final = 10
_COMPARE: Final[Mapping[Comparison, Callable[[float, float], bool]]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


class MetricRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="metric"):
    """The query's value over the last `window_s` is over the threshold.

    query  its `by` says what the groups are, one status each
    clear  what fires is ok again only past this one; None: when it is not over the threshold
    """

    query: Query
    window_s: int
    every_s: int
    comparison: Comparison
    threshold: float
    clear: float | None = None

    def reading(self, value: float, severity: Severity) -> Reading:
        """What a value of a group says."""
        over = _COMPARE[self.comparison]
        is_over = over(value, self.threshold)
        is_clear = not over(value, self.threshold if self.clear is None else self.clear)
        return Reading(value, is_over, is_clear, severity)


class NodesRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="nodes"):
    """A node is silent: late, or offline. One status for each node whose name and labels match."""

    match: tuple[str, ...] = ()
    silent: Literal["late", "offline"] = "offline"

    every_s = 2

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Over the node's labels and `node`. Raises InvalidQuery."""
        return tuple(parse_matcher(text) for text in self.match)

    def reading(self, state: NodeState, severity: Severity) -> Reading | None:
        """What a node's state says; None for one that is not expected any more."""
        if state == NodeState.DEREGISTERED:
            return None
        is_over = state == NodeState.OFFLINE or (state == NodeState.LATE and self.silent == "late")
        return Reading(None, is_over, state == NodeState.ONLINE, severity, f"the node is {state.value}")


class ReportedRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="reported"):
    """An agent or a monitor says so. One status for each node, and labels, that report under this name."""

    status: str
    least: Literal["warning", "critical"] = "warning"
    unknown: Literal["ok", "firing"] = "firing"

    every_s = 10

    def reading(self, level: Level, message: str) -> Reading:
        """What a report says; its severity is the report's own."""
        is_over = level == "critical" or (level == "warning" and self.least == "warning")
        is_over = is_over or (level == "unknown" and self.unknown == "firing")
        severity = Severity.CRITICAL if level == "critical" else Severity.WARNING
        return Reading(None, is_over, not is_over, severity, message)


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Ask the node for its values each second, for so long, when it comes to this."""

    when: Literal["pending", "firing"] = "firing"
    minutes: int = 5


class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A rule, and what follows from it."""

    rule: MetricRule | NodesRule | ReportedRule
    hold_s: int = 0
    keep_firing_s: int = 0
    no_data: NoData = NoData.SHOW
    no_data_after_s: int = 300
    severity: Severity = Severity.WARNING
    labels: dict[str, str] = {}
    runbook: str = ""
    message: str = ""
    capture: Capture | None = None

    @property
    def kind(self) -> str:
        """Which of the rules it is."""
        return str(type(self.rule).__struct_config__.tag)

    @property
    def policy(self) -> Policy:
        return Policy(self.hold_s, self.keep_firing_s, self.no_data)

    @property
    def every_s(self) -> int:
        """How often it is judged."""
        return self.rule.every_s


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition as last saved."""

    id: UUID
    account_id: AccountId
    name: str
    spec: Spec
    is_enabled: bool
    created_at: datetime
    version: int

    @property
    def stream(self) -> str:
        return f"condition/{self.id}"


def spec_of(value: object) -> Spec:
    """A condition from decoded JSON. Raises InvalidBody or InvalidQuery, which name the place."""
    try:
        spec = msgspec.convert(value, Spec)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"The condition is not of the expected shape: {error}") from error
    return check_spec(spec)


def as_json(spec: Spec) -> dict[str, Any]:
    """A condition as plain values, the inverse of `spec_of`."""
    found: dict[str, Any] = msgspec.to_builtins(spec)
    return found


def check_spec(spec: Spec) -> Spec:
    """The same; raises InvalidBody or InvalidQuery, worded for who wrote it."""
    match spec.rule:
        case MetricRule():
            _check_metric(spec.rule)
        case NodesRule():
            assert spec.rule.matchers is not None
        case ReportedRule():
            _need(0 < len(spec.rule.status) <= NAME_MAX, f"A status has a name of at most {NAME_MAX} characters")
    _need(0 <= spec.hold_s <= HOLD_MAX_S, "It can be held for a day at most")
    _need(0 <= spec.keep_firing_s <= HOLD_MAX_S, "It can go on firing for a day at most")
    _need(
        30 <= spec.no_data_after_s <= HOLD_MAX_S, "Silence counts after 30 s at the earliest, after a day at the latest"
    )
    _need(len(spec.message) <= MESSAGE_MAX, f"A message has at most {MESSAGE_MAX} characters")
    _need(
        not spec.runbook or _is_link(spec.runbook),
        "The runbook must be an address that begins with https:// or http://",
    )
    _need(len(spec.labels) <= LABELS_MAX, f"At most {LABELS_MAX} labels can be added")
    for name, text in spec.labels.items():
        _need(parse_matcher(f"{name}=x").label == name and len(text) <= NAME_MAX, f"“{name}” is no label")
    _need(spec.capture is None or 1 <= spec.capture.minutes <= 15, "A capture lasts 1 to 15 minutes")
    return spec


def clean_name(text: str) -> str:
    """A condition's name in one line. Raises InvalidBody."""
    name = " ".join(text.split())
    _need(0 < len(name) <= NAME_MAX, f"Give it a name of at most {NAME_MAX} characters")
    return name


def group_sha256(labels: Mapping[str, str]) -> str:
    """The name of a group within its condition's streams."""
    text = json.dumps(dict(labels), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _check_metric(rule: MetricRule) -> None:
    check(Graph(queries=(rule.query,)))
    _need(not rule.query.needs_samples, "A condition knows no percentile over time: take the maximum over time, or a "
          "percentile across series")  # fmt: skip
    _need(rule.query.top is None, "A condition is judged for every group: leave `top` out")
    _need(rule.every_s in EVERY_S, f"It can be judged every {_listed(EVERY_S)} s")
    _need(rule.every_s <= rule.window_s <= WINDOW_MAX_S, "The window must be as long as the pause between two looks, "
          "and at most a day")  # fmt: skip
    if rule.window_s >= ROLLED_FROM_S:
        _need(rule.every_s % 60 == 0 and rule.window_s % 60 == 0, "A window of 10 minutes or more is whole minutes, "
              "and judged every 60 or 300 s")  # fmt: skip
    _need(_is_finite(rule.threshold), "The threshold must be a number")
    if rule.clear is not None:
        _need(_is_finite(rule.clear), "The threshold to be ok again must be a number")
        is_beyond = _COMPARE[rule.comparison](rule.clear, rule.threshold) and rule.clear != rule.threshold
        _need(not is_beyond, "What fires must be ok again on the good side of the threshold")


def _is_finite(value: float) -> bool:
    return abs(value) < 1e300


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("https", "http") and bool(parts.hostname) and len(text) <= URL_MAX and text.isprintable()


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" or {numbers[-1]}"


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise InvalidBody(otherwise)
