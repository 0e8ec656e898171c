"""The state machine of conditions: named sequences of readings, and laws that hold for all of them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.condition_specs import MetricRule
from domain.conditions import (
    News,
    NoData,
    Policy,
    Reading,
    Severity,
    State,
    Status,
    Transition,
    advance,
    end,
    first,
    run,
)
from domain.query import Query

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CPU = MetricRule(Query("A", "cpu"), 60, 10, ">", threshold=90, clear=80)
SILENT, FAILED = "silent", "failed"

SEQUENCES: list[tuple[str, dict[str, Any], list[tuple[int, float | str]], str]] = [
    # name, policy, (second, reading), states with what is told where they begin
    ("stays ok", {}, [(0, 10), (60, 90)], ""),
    ("fires at once without a hold", {}, [(0, 91)], "firing!firing"),
    ("ok→pending→firing→ok", {"hold_s": 60}, [(0, 91), (60, 92), (120, 10)], "pending firing!firing ok!resolved"),
    ("a spike shorter than the hold", {"hold_s": 60}, [(0, 91), (30, 92), (59, 10)], "pending ok"),
    ("the hold begins anew", {"hold_s": 60}, [(0, 91), (30, 10), (40, 91), (90, 91), (100, 91)],
     "pending ok pending firing!firing"),
    ("fires on between the thresholds", {}, [(0, 91), (10, 85), (20, 79)], "firing!firing ok!resolved"),
    ("over again before it was clear", {}, [(0, 91), (10, 85), (20, 95), (30, 85)], "firing!firing"),
    ("between the thresholds nothing begins", {}, [(0, 85), (10, 85)], ""),
    ("keeps firing for a while", {"keep_firing_s": 30}, [(0, 91), (10, 5), (39, 5), (40, 5)],
     "firing!firing ok!resolved"),
    ("the while begins anew", {"keep_firing_s": 30}, [(0, 91), (10, 5), (20, 91), (30, 5), (59, 5)], "firing!firing"),
    ("silence is shown", {}, [(0, 10), (10, SILENT), (20, 10)], "no_data ok"),
    ("silence is told", {"no_data": NoData.NOTIFY}, [(0, 10), (10, SILENT), (20, 10)], "no_data!no_data ok!resolved"),
    ("silence while it fires", {}, [(0, 91), (10, SILENT), (20, 91), (30, 5)],
     "firing!firing no_data firing ok!resolved"),
    ("silence told while it fires", {"no_data": NoData.NOTIFY}, [(0, 91), (10, SILENT), (20, 91), (30, 5)],
     "firing!firing no_data!no_data firing!firing ok!resolved"),
    ("silence as good as ok", {"no_data": NoData.OK}, [(0, 91), (10, SILENT)], "firing!firing ok!resolved"),
    ("silence as bad as over", {"no_data": NoData.FIRING, "hold_s": 60}, [(0, SILENT), (60, SILENT), (70, 10)],
     "pending firing!firing ok!resolved"),
    ("silence ends the pending", {"hold_s": 60}, [(0, 91), (30, SILENT), (60, 91), (90, 91), (120, 91)],
     "pending no_data pending firing!firing"),
    ("back from silence with a hold", {"hold_s": 60}, [(0, SILENT), (10, 91), (70, 91)],
     "no_data pending firing!firing"),
    ("told of silence, then pending, then ok", {"hold_s": 60, "no_data": NoData.NOTIFY},
     [(0, SILENT), (10, 91), (20, 10)], "no_data!no_data pending ok!resolved"),
    ("a failure is shown", {}, [(0, 91), (10, FAILED), (20, 91), (30, 5)], "firing!firing error firing ok!resolved"),
    ("a failure is told", {"no_data": NoData.NOTIFY}, [(0, FAILED), (10, FAILED), (20, 5)], "error!error ok!resolved"),
]  # fmt: skip


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def reading(value: float | str) -> Reading:
    if isinstance(value, float | int):
        return CPU.reading(value, Severity.WARNING)
    return Reading(is_silent=True) if value == SILENT else Reading(failure="it reads too much")


def told(transitions: list[Transition]) -> str:
    return " ".join(f"{one.after}!{one.news}" if one.news else one.after for one in transitions)


@pytest.mark.parametrize(
    ("policy", "readings", "expected"), [row[1:] for row in SEQUENCES], ids=[r[0] for r in SEQUENCES]
)
def test_sequences(policy: dict[str, Any], readings: list[tuple[int, float | str]], expected: str) -> None:
    _, made = run(first(NOON), Policy(**policy), [(at(second), reading(value)) for second, value in readings])
    assert told(made) == expected


def test_a_recovery_tells_how_long_it_lasted_silence_included() -> None:
    values = [(0, 91.0), (60, SILENT), (120, 91.0), (200, 5.0)]
    _, made = run(first(NOON), Policy(), [(at(second), reading(value)) for second, value in values])
    assert made[-1].lasted == timedelta(seconds=200)


def test_what_fires_and_grows_worse_is_told_again_and_what_eases_is_shown() -> None:
    said = [(0, Severity.WARNING), (10, Severity.CRITICAL), (20, Severity.WARNING)]
    readings = [(at(s), Reading(None, True, False, severity)) for s, severity in said]
    status, made = run(first(NOON), Policy(), readings)
    assert [(one.severity, one.news) for one in made] == [
        (Severity.WARNING, News.FIRING),
        (Severity.CRITICAL, News.FIRING),
        (Severity.WARNING, None),
    ]
    assert status.since == NOON


def test_who_is_judged_no_longer_is_told_of_only_when_someone_was_told() -> None:
    assert end(first(NOON), "removed", at(10)) is None
    firing, _ = advance(first(NOON), Policy(), reading(91), NOON)
    ended = end(firing, "removed", at(10))
    assert ended
    assert (ended.news, ended.after, ended.lasted) == (News.RESOLVED, State.OK, timedelta(seconds=10))


policies = st.builds(
    Policy, st.sampled_from([0, 10, 30, 60]), st.sampled_from([0, 10, 30]), st.sampled_from(list(NoData))
)
values = st.one_of(st.sampled_from([5.0, 85.0, 95.0]), st.sampled_from([SILENT, FAILED]))
histories = st.lists(st.tuples(st.integers(1, 40), values), max_size=40).map(
    lambda steps: [(at(sum(step for step, _ in steps[: n + 1])), reading(value)) for n, (_, value) in enumerate(steps)]
)


@given(policies, histories)
def test_with_a_hold_nothing_fires_that_was_not_pending_for_so_long(
    policy: Policy, readings: list[tuple[datetime, Reading]]
) -> None:
    status = first(NOON)
    for now, one in readings:
        before, (status, made) = status, advance(status, policy, one, now)
        if policy.hold_s and made and made.after == State.FIRING and made.before != State.FIRING:
            assert before.state == State.PENDING
            assert before.pending_since
            assert now - before.pending_since >= timedelta(seconds=policy.hold_s)


@given(policies, histories, st.data())
def test_it_is_the_same_under_any_grouping_of_ticks(
    policy: Policy, readings: list[tuple[datetime, Reading]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(readings)))
    status, early = run(first(NOON), policy, readings[:cut])
    status, late = run(status, policy, readings[cut:])
    assert (status, early + late) == run(first(NOON), policy, readings)


@given(policies, histories)
def test_every_incident_is_told_once_and_ended_once(policy: Policy, readings: list[tuple[datetime, Reading]]) -> None:
    status, made = run(first(NOON), policy, readings)
    is_open = False
    for one in made:
        if one.news == News.RESOLVED:
            assert is_open
            is_open = False
        elif one.news:
            is_open = True
    assert is_open == (status.told is not None) == (status.told_since is not None)


@given(policies, histories)
def test_a_transition_says_what_the_status_was_and_is(policy: Policy, readings: list[tuple[datetime, Reading]]) -> None:
    status: Status = first(NOON)
    for now, one in readings:
        before, (status, made) = status, advance(status, policy, one, now)
        if made is None:
            assert (status.state, status.since, status.told) == (before.state, before.since, before.told)
        else:
            assert (made.before, made.after, made.at) == (before.state, status.state, now)
            assert status.since == now
        assert (status.pending_since is not None) == (status.state == State.PENDING)
        assert status.quiet_since is None or status.state == State.FIRING
