"""Who is late, offline, deregistered, and who is not; by example and by law."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import liveness
from domain.liveness import CLOCK_SLACK_MS, LIFE, Hearing, Limits, Verdict, credible_last_ms, judge, silence_ms
from domain.nodes import NodeState, may_move

ONLINE, LATE, OFFLINE, DEREGISTERED = LIFE
LIMITS = Limits(late_ms=30_000, offline_ms=100_000, deregister_ms=14_400_000, grace_ms=60_000)
NOW = 1_800_000_000_000
ALWAYS = Hearing(at_ms=NOW, since_ms=NOW - 10**10)

states = st.sampled_from(LIFE)
silences = st.integers(0, 2 * LIMITS.deregister_ms) | st.sampled_from(
    [limit + by for limit in (0, 30_000, 100_000, 14_400_000) for by in (0, 1)]
)


@st.composite
def hearings(draw: st.DrawFn) -> Hearing:
    """Outages before now, ascending and apart, and a last start after all of them."""
    edges = sorted(draw(st.sets(st.integers(1, LIMITS.deregister_ms), max_size=8)), reverse=True)
    outages = [(NOW - start, NOW - end) for start, end in zip(edges[::2], edges[1::2], strict=False)]
    since = draw(st.integers(outages[-1][1] if outages else NOW - 10**7, NOW))
    return Hearing(NOW, since, outages)


@pytest.mark.parametrize(
    ("interval_ms", "deregister_after_s", "expected"),
    [
        (10_000, 14_400, LIMITS),
        (60_000, 14_400, Limits(180_000, 600_000, 14_400_000, 120_000)),
        (1_000, 14_400, Limits(3_000, 10_000, 14_400_000, 60_000)),
        (3_600_000, 14_400, Limits(10_800_000, 36_000_000, 36_000_000, 7_200_000)),
    ],
)
def test_limits_follow_the_interval(interval_ms: int, deregister_after_s: int, expected: Limits) -> None:
    assert liveness.limits(interval_ms, 3, 10, deregister_after_s) == expected


def test_limits_that_are_set_upside_down_are_raised() -> None:
    assert liveness.limits(10_000, 10, 3, 1) == Limits(100_000, 100_000, 100_000, 60_000)


def test_limits_ascend() -> None:
    with pytest.raises(ValueError, match="ascend"):
        Limits(2, 1, 3, 0)


@pytest.mark.parametrize(
    ("silent_ms", "state", "next_ms"),
    [
        (0, ONLINE, 30_000),
        (29_999, ONLINE, 1),
        (30_000, LATE, 70_000),
        (99_999, LATE, 1),
        (100_000, OFFLINE, 14_300_000),
        (14_399_999, OFFLINE, 1),
        (14_400_000, DEREGISTERED, None),
        (10**9, DEREGISTERED, None),
    ],
)
def test_silence_moves_a_node_on(silent_ms: int, state: NodeState, next_ms: int | None) -> None:
    due = None if next_ms is None else NOW + next_ms
    assert judge(ONLINE, NOW - silent_ms, NOW, LIMITS, ALWAYS) == Verdict(state, due)


@pytest.mark.parametrize(
    ("last", "outages", "silent"),
    [
        (100, [], 900),
        (100, [(200, 300)], 800),
        (250, [(200, 300)], 700),
        (400, [(200, 300)], 600),
        (100, [(200, 300), (900, 2_000)], 700),
        (100, [(100, 1_000)], 0),
        (100, [(0, 5_000)], 0),
        (2_000, [], 0),
    ],
)
def test_silence_is_counted_without_our_outages(last: int, outages: list[tuple[int, int]], silent: int) -> None:
    assert silence_ms(last, 1_000, outages) == silent


@pytest.mark.parametrize("recorded", LIFE)
def test_a_wider_limit_brings_nobody_back(recorded: NodeState) -> None:
    """An offline node whose interval has grown has been silent for less than the new limits say, and stays."""
    verdict = judge(recorded, NOW - 40_000, NOW, LIMITS, ALWAYS)
    assert verdict.state == (LATE if recorded == ONLINE else recorded)


@pytest.mark.parametrize(
    ("last", "recorded", "credible"),
    [
        (NOW - 5, LATE, NOW - 5),
        (NOW + CLOCK_SLACK_MS, ONLINE, NOW + CLOCK_SLACK_MS),
        (NOW + CLOCK_SLACK_MS + 1, ONLINE, NOW),
        (None, ONLINE, NOW),
        (None, LATE, NOW - 30_000),
        (None, OFFLINE, NOW - 100_000),
        (None, DEREGISTERED, NOW - 14_400_000),
    ],
)
def test_an_unknown_contact_is_presumed_from_the_state(last: int | None, recorded: NodeState, credible: int) -> None:
    assert credible_last_ms(last, recorded, NOW, LIMITS) == credible


@given(states)
def test_presuming_a_contact_changes_no_state(recorded: NodeState) -> None:
    last = credible_last_ms(None, recorded, NOW, LIMITS)
    assert judge(recorded, last, NOW, LIMITS, ALWAYS).state == recorded


@given(states, silences, hearings())
def test_nobody_is_demoted_before_the_grace(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    verdict = judge(recorded, NOW - silent, NOW, LIMITS, hearing)
    if LIFE.index(verdict.state) > LIFE.index(recorded):
        assert NOW - hearing.since_ms >= LIMITS.grace_ms


@given(states, silences, hearings())
def test_nobody_is_demoted_by_our_outages(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    """Whoever is demoted was silent for as long while we did hear."""
    last = NOW - silent
    verdict = judge(recorded, last, NOW, LIMITS, hearing)
    if LIFE.index(verdict.state) > LIFE.index(recorded):
        deaf = sum(end - max(start, last) for start, end in hearing.outages if end > last)
        assert silent - deaf >= LIMITS.of(verdict.state)


@given(states, st.integers(0, LIMITS.late_ms - 1), hearings())
def test_who_was_heard_just_now_is_online(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    assert judge(recorded, NOW - silent, NOW, LIMITS, hearing).state == ONLINE


@given(states, silences, hearings())
def test_silence_only_moves_on(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    verdict = judge(recorded, NOW - silent, NOW, LIMITS, hearing)
    assert verdict.state in (recorded, ONLINE) or LIFE.index(verdict.state) > LIFE.index(recorded)
    assert verdict.state == recorded or may_move(recorded, verdict.state)


@given(states, silences, hearings())
def test_judging_twice_is_judging_once(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    first = judge(recorded, NOW - silent, NOW, LIMITS, hearing)
    assert judge(first.state, NOW - silent, NOW, LIMITS, hearing) == first


@given(states, silences, hearings())
def test_the_verdict_changes_exactly_when_it_is_due(recorded: NodeState, silent: int, hearing: Hearing) -> None:
    last = NOW - silent
    verdict = judge(recorded, last, NOW, LIMITS, hearing)
    if verdict.due_ms is None:
        assert judge(verdict.state, last, NOW + 10**12, LIMITS, hearing).state == DEREGISTERED
        return
    due = _settle_due(verdict, last, hearing)
    assert judge(verdict.state, last, due - 1, LIMITS, hearing).state == verdict.state
    assert judge(verdict.state, last, due, LIMITS, hearing).state != verdict.state


def _settle_due(verdict: Verdict, last: int, hearing: Hearing) -> int:
    """The due instant, followed through the grace, whose end may come after the limit."""
    due = verdict.due_ms
    assert due is not None
    assert due > NOW or verdict.state != ONLINE
    again = judge(verdict.state, last, due, LIMITS, hearing)
    if again.state == verdict.state:
        assert again.due_ms == hearing.since_ms + LIMITS.grace_ms, "only the grace puts a change off"
        return again.due_ms
    return due
