"""What people may write as a condition, and what it makes of values, of nodes' states, of reports."""

import json
from typing import Any

import pytest

from domain.condition_specs import (
    LEVELS,
    Level,
    MetricRule,
    NodesRule,
    ReportedRule,
    as_json,
    check_spec,
    clean_name,
    group_sha256,
    spec_of,
)
from domain.conditions import Severity
from domain.errors import InvalidBody, MetristError
from domain.nodes import NodeState
from domain.query import Query

RULE = {
    "kind": "metric",
    "query": {"id": "A", "metric": "cpu.user", "match": ["node=~web-.*"], "by": ["node"]},
    "window_s": 60,
    "every_s": 10,
    "comparison": ">",
    "threshold": 90,
}
SPEC = {"rule": RULE, "hold_s": 60, "labels": {"team": "web"}, "capture": {"when": "pending", "minutes": 5}}


@pytest.mark.parametrize(
    "value",
    [SPEC, {"rule": {"kind": "nodes", "match": ["env=prod"]}}, {"rule": {"kind": "reported", "status": "backup"}}],
)
def test_a_condition_survives_being_kept(value: dict[str, Any]) -> None:
    spec = spec_of(value)
    assert spec_of(json.loads(json.dumps(as_json(spec)))) == spec
    assert spec.kind == value["rule"]["kind"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"rule": RULE | {"comparison": "=="}}, "expected shape"),
        ({"rule": RULE | {"every_s": 7}}, "every 2, 5"),
        ({"rule": RULE | {"window_s": 5}}, "as long as the pause"),
        ({"rule": RULE | {"window_s": 90_000}}, "at most a day"),
        ({"rule": RULE | {"window_s": 600}}, "whole minutes"),
        ({"rule": RULE | {"threshold": 1e301}}, "must be a number"),
        ({"rule": RULE | {"clear": 95}}, "good side"),
        ({"rule": RULE | {"comparison": "<", "clear": 85}}, "good side"),
        ({"rule": RULE | {"query": {"id": "A", "metric": "cpu user"}}}, "cpu user"),
        ({"rule": RULE | {"query": {"id": "A", "metric": "cpu", "match": ["node"]}}}, "no matcher"),
        ({"rule": RULE | {"query": {"id": "A", "metric": "cpu", "top": 3}}}, "leave `top` out"),
        ({"rule": {"kind": "nodes", "match": ["node=~["]}}, "no pattern"),
        ({"rule": {"kind": "reported", "status": ""}}, "has a name"),
        ({"hold_s": -1}, "held"),
        ({"keep_firing_s": 90_000}, "go on firing"),
        ({"no_data_after_s": 5}, "Silence counts"),
        ({"runbook": "javascript:alert(1)"}, "https://"),
        ({"runbook": "https://"}, "https://"),
        ({"labels": {"a b": "x"}}, "matcher"),
        ({"labels": {f"l{n}": "x" for n in range(11)}}, "At most 10"),
        ({"message": "x" * 501}, "500"),
        ({"capture": {"minutes": 16}}, "1 to 15"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_place(change: dict[str, Any], told: str) -> None:
    with pytest.raises(MetristError, match=told):
        spec_of(SPEC | change)


def test_a_long_window_is_judged_at_whole_minutes() -> None:
    spec_of({"rule": RULE | {"window_s": 3_600, "every_s": 60}})
    with pytest.raises(InvalidBody, match="whole minutes"):
        spec_of({"rule": RULE | {"window_s": 630, "every_s": 60}})


@pytest.mark.parametrize(
    ("comparison", "threshold", "clear", "value", "over", "ok"),
    [
        (">", 90, None, 90, False, True),
        (">", 90, None, 90.1, True, False),
        (">=", 90, None, 90, True, False),
        (">", 90, 80, 85, False, False),
        (">", 90, 80, 80, False, True),
        ("<", 10, 20, 9, True, False),
        ("<", 10, 20, 15, False, False),
        ("<", 10, 20, 20, False, True),
        ("<=", 0, None, 0, True, False),
    ],
)
def test_a_value_is_over_clear_or_between(
    comparison: Any, threshold: float, clear: float | None, value: float, over: bool, ok: bool
) -> None:
    found = MetricRule(Query("A", "m"), 60, 10, comparison, threshold, clear).reading(value, Severity.INFO)
    assert (found.is_over, found.is_clear, found.value, found.severity) == (over, ok, value, Severity.INFO)


@pytest.mark.parametrize(("silent", "over"), [("late", {"late", "offline"}), ("offline", {"offline"})])
def test_a_node_is_silent_from_where_it_was_asked_for(silent: Any, over: set[str]) -> None:
    readings = {state: NodesRule((), silent).reading(state, Severity.CRITICAL) for state in NodeState}
    assert {str(state) for state, one in readings.items() if one and one.is_over} == over
    assert {str(state) for state, one in readings.items() if one and one.is_clear} == {"online"}
    assert readings[NodeState.DEREGISTERED] is None


@pytest.mark.parametrize(
    ("rule", "over"),
    [
        (ReportedRule("b"), {"warning", "critical", "unknown"}),
        (ReportedRule("b", "critical"), {"critical", "unknown"}),
        (ReportedRule("b", "warning", "ok"), {"warning", "critical"}),
    ],
)
def test_a_report_is_over_from_the_level_that_was_asked_for(rule: ReportedRule, over: set[Level]) -> None:
    assert {level for level in LEVELS if rule.reading(level, "").is_over} == over
    assert rule.reading("critical", "").severity == Severity.CRITICAL


def test_a_group_is_its_labels_whatever_their_order() -> None:
    assert group_sha256({"a": "1", "b": "2"}) == group_sha256({"b": "2", "a": "1"}) != group_sha256({"a": "1"})


def test_a_name_is_one_line() -> None:
    assert clean_name(" CPU \n of the web ") == "CPU of the web"
    with pytest.raises(InvalidBody, match="name"):
        clean_name(" ")
    assert check_spec(spec_of(SPEC)) == spec_of(SPEC)
