"""What a change of a status tells people, in one line, and which changes tell nothing."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from domain.condition_notices import length, notice_of, number, render, sentence
from domain.condition_specs import Condition, MetricRule, NodesRule, ReportedRule, Spec
from domain.conditions import NoData, Policy, Reading, Status, advance, end, first
from domain.deliveries import Kind
from domain.evaluation import Move, group
from domain.ids import AccountId
from domain.query import Query

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CPU = MetricRule(Query("A", "cpu.user", ("env=prod",), by=("node",)), 60, 10, ">", 90.0, clear=80.0)
WEB = group({"node": "web-1"})
OVER, CALM, SILENT = Reading(93.456, True, False), Reading(12.0), Reading(is_silent=True)


def a_condition(spec: Spec) -> Condition:
    return Condition(UUID(int=1), AccountId(UUID(int=2)), "CPU", spec, True, NOON, 1)


def told(spec: Spec, *readings: Reading) -> list[tuple[str, str, str]]:
    """Kind, state and summary of each notice."""
    status: Status = first(NOON)
    found = []
    for minute, reading in enumerate(readings):
        at = NOON + timedelta(minutes=minute)
        before, (status, transition) = status, advance(status, spec.policy, reading, at)
        notice = notice_of(a_condition(spec), Move(WEB, before, status, transition, at), "status/x/y", minute)
        if notice:
            assert notice.began_at == NOON
            found.append((notice.kind.value, notice.state, notice.summary))
    return found


def test_an_incident_of_a_metric() -> None:
    assert told(Spec(CPU), OVER, OVER, CALM) == [
        ("firing", "firing", "average of cpu.user over 1 min is 93.46, above 90"),
        ("resolved", "ok", "average of cpu.user over 1 min is 12, not above 80"),
    ]


def test_silence_that_is_told() -> None:
    spec = Spec(CPU, no_data=NoData.NOTIFY, no_data_after_s=300)
    assert [one[1:] for one in told(spec, SILENT, CALM)] == [
        ("no_data", "no data for 5 min"),
        ("ok", "average of cpu.user over 1 min is 12, not above 80"),
    ]


def test_what_is_only_shown_tells_nothing() -> None:
    assert told(Spec(CPU, hold_s=600), OVER, OVER) == told(Spec(CPU), SILENT, CALM) == []


def test_a_condition_has_a_message_of_its_own() -> None:
    spec = Spec(CPU, message="{{ labels.node }} ({{labels.team}}) burns: {{ value }} > {{ threshold }}{{ nothing }}",
                labels={"team": "web"})  # fmt: skip
    assert told(spec, OVER)[0][2] == "web-1 (web) burns: 93.46 > 90"


@pytest.mark.parametrize(
    "template", ["{% for i in range(9) %}x{% endfor %}", "{{ labels.__class__ }}", "{{ 7*7 }}", "{{"]
)
def test_a_message_runs_nothing(template: str) -> None:
    assert "49" not in render(template, {"value": "1"})
    assert render(template, {}) in (template, "")


def test_a_notice_says_all_that_a_message_needs() -> None:
    spec = Spec(CPU, labels={"team": "web"}, runbook="https://wiki/cpu")
    after, transition = advance(first(NOON), Policy(), OVER, NOON)
    notice = notice_of(a_condition(spec), Move(WEB, first(NOON), after, transition, NOON), "status/x/y", 3, "https://r")
    assert notice
    assert notice.about == {
        "team": "web",
        "node": "web-1",
        "condition": "CPU",
        "severity": "warning",
        "state": "firing",
    }
    assert (notice.kind, notice.version, notice.value, notice.runbook, notice.recording) == (
        Kind.FIRING,
        3,
        93.456,
        "https://wiki/cpu",
        "https://r",
    )
    assert notice.graph["query"]["match"] == ["env=prod", "node=web-1"]
    assert notice.graph["threshold"] == 90


def test_who_is_judged_no_longer_is_over_with_its_cause() -> None:
    after, _ = advance(first(NOON), Policy(), OVER, NOON)
    at = NOON + timedelta(minutes=5)
    ended = Move(WEB, after, None, end(after, "the node was removed", at), at, "the node was removed")
    notice = notice_of(a_condition(Spec(CPU)), ended, "status/x/y", 2)
    assert notice
    assert (notice.kind, notice.summary) == (Kind.RESOLVED, "judged no longer: the node was removed")
    assert notice.lasted == timedelta(minutes=5)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (Spec(CPU, hold_s=300), "average of cpu.user over 1 min where env=prod is above 90 for 5 min"),
        (Spec(NodesRule(("env=prod",), "late")), "a node where env=prod is late or offline"),
        (Spec(NodesRule()), "a node is offline"),
        (Spec(ReportedRule("backup")), "the status backup is reported as warning or critical"),
        (Spec(ReportedRule("backup", "critical")), "the status backup is reported as critical"),
    ],
)
def test_a_condition_is_a_sentence(spec: Spec, said: str) -> None:
    assert sentence(spec) == said


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5"), (93.456, "93.46"), (12_345.6, "12 346"), (1.5e9, "1.5e+09"), (None, "")]
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (90, "90 s"), (120, "2 min"), (7_200, "2 h"), (86_400, "1 d")]
)
def test_lengths_are_whole(seconds: int, text: str) -> None:
    assert length(seconds) == text
