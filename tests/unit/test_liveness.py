"""Silence, what it leads to, and what never counts as silence."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from domain.liveness import (
    LIFE,
    Goodbye,
    Hearing,
    Limits,
    Verdict,
    credible_last_ms,
    judge,
    limits,
    presumed_last_ms,
    silence_ms,
    state_after,
)
from domain.nodes import NodeState, may_move

ONLINE, LATE, OFFLINE, DEREGISTERED = LIFE
NOW = 10_000_000_000
DAY_MS = 86_400_000
USUAL = limits(10_000, 3, 10, 14_400)
ALWAYS = Hearing(NOW, 0)

instants = st.integers(NOW - 3 * DAY_MS, NOW + 3 * DAY_MS)
states = st.sampled_from(LIFE)
some_limits = st.builds(
    limits, st.integers(1_000, 600_000), st.integers(1, 10), st.integers(1, 30), st.integers(1, 100_000)
)


@st.composite
def outages(draw: st.DrawFn) -> list[tuple[int, int]]:
    """Ascending, not overlapping."""
    edges = sorted(draw(st.lists(instants, max_size=12, unique=True)))
    return list(zip(edges[::2], edges[1::2], strict=False))


@pytest.mark.parametrize(
    ("silence_s", "state"),
    [
        (0, ONLINE),
        (29.999, ONLINE),
        (30, LATE),
        (99.999, LATE),
        (100, OFFLINE),
        (14_399, OFFLINE),
        (14_400, DEREGISTERED),
    ],
)
def test_silence_leads_through_the_states(silence_s: float, state: NodeState) -> None:
    assert state_after(int(silence_s * 1000), USUAL) == state


@pytest.mark.parametrize(
    ("outage", "silence_s"),
    [
        ((0, 10), 100),
        ((0, 60), 50),
        ((50, 70), 80),
        ((60, 200), 50),
        ((100, 200), 90),
        ((200, 300), 100),
        ((0, 300), 0),
    ],
    ids=["before", "into", "within", "until after", "over the end", "after", "over all"],
)
def test_our_outages_are_no_silence(outage: tuple[int, int], silence_s: int) -> None:
    """Last heard at 10 s, asked at 110 s."""
    start_s, end_s = outage
    assert silence_ms(10_000, 110_000, [(start_s * 1000, end_s * 1000)]) == silence_s * 1000


@pytest.mark.parametrize(
    ("recorded", "silence_s", "since_s", "verdict"),
    [
        (ONLINE, 12, 1000, Verdict(ONLINE, NOW + 18_000)),
        (ONLINE, 30, 1000, Verdict(LATE, NOW + 70_000)),
        (ONLINE, 120, 1000, Verdict(OFFLINE, NOW + 14_280_000)),
        (LATE, 14_400, 1000, Verdict(DEREGISTERED, None)),
        (OFFLINE, 12, 1000, Verdict(ONLINE, NOW + 18_000)),
        (DEREGISTERED, 0, 1000, Verdict(ONLINE, NOW + 30_000)),
        (OFFLINE, 40, 1000, Verdict(OFFLINE, NOW + 14_360_000)),
        (DEREGISTERED, 40, 1000, Verdict(DEREGISTERED, None)),
        (ONLINE, 120, 20, Verdict(ONLINE, NOW + 40_000)),
        (LATE, 120, 20, Verdict(LATE, NOW + 40_000)),
        (OFFLINE, 12, 20, Verdict(ONLINE, NOW + 18_000)),
        (ONLINE, 120, 60, Verdict(OFFLINE, NOW + 14_280_000)),
    ],
    ids=[
        "online",
        "late",
        "offline at once",
        "deregistered",
        "back from offline",
        "back from deregistered",
        "offline never gets late",
        "deregistered stays",
        "no demotion within the grace",
        "late stays within the grace",
        "back within the grace",
        "demoted when the grace is over",
    ],
)
def test_a_node_is_judged(recorded: NodeState, silence_s: int, since_s: int, verdict: Verdict) -> None:
    hearing = Hearing(NOW, NOW - since_s * 1000)
    assert judge(recorded, NOW - silence_s * 1000, NOW, USUAL, hearing) == verdict


@pytest.mark.parametrize(("interval_s", "grace_s"), [(1, 60), (10, 60), (30, 60), (300, 600)])
def test_the_grace_is_two_pings_or_a_minute(interval_s: int, grace_s: int) -> None:
    assert limits(interval_s * 1000, 3, 10, 14_400).grace_ms == grace_s * 1000


def test_limits_that_do_not_ascend_are_refused() -> None:
    with pytest.raises(ValueError, match="does not ascend"):
        Limits(late_ms=30, offline_ms=20, deregister_ms=40, grace_ms=0)


@pytest.mark.parametrize(
    ("last_ms", "recorded", "credible_ms"),
    [
        (NOW - 5, OFFLINE, NOW - 5),
        (NOW + 5_000, ONLINE, NOW + 5_000),
        (NOW + 3_600_000, ONLINE, NOW),
        (NOW + 3_600_000, OFFLINE, NOW - 100_000),
        (None, LATE, NOW - 30_000),
    ],
    ids=["known", "another clock", "set back, online", "set back, offline", "lost"],
)
def test_a_contact_that_cannot_be_is_presumed(last_ms: int | None, recorded: NodeState, credible_ms: int) -> None:
    assert credible_last_ms(last_ms, recorded, NOW, USUAL) == credible_ms


@given(instants, instants, outages())
def test_silence_is_never_negative_nor_longer_than_the_time(last: int, now: int, gaps: list[tuple[int, int]]) -> None:
    assert 0 <= silence_ms(last, now, gaps) <= max(0, now - last)


@given(instants, instants, st.integers(0, DAY_MS), outages())
def test_silence_grows_with_time_and_at_most_as_fast(
    last: int, now: int, later: int, gaps: list[tuple[int, int]]
) -> None:
    before, after = silence_ms(last, now, gaps), silence_ms(last, now + later, gaps)
    assert before <= after <= before + later


@given(instants, st.integers(0, 3 * DAY_MS), outages())
def test_one_more_outage_never_makes_a_node_more_silent(last: int, passed: int, gaps: list[tuple[int, int]]) -> None:
    now = last + passed
    for known in range(len(gaps)):
        assert silence_ms(last, now, gaps[: known + 1]) <= silence_ms(last, now, gaps[:known])


@given(states, instants, instants, some_limits, instants, outages())
def test_a_verdict_is_a_move_that_exists_or_none(
    recorded: NodeState, last: int, now: int, some: Limits, since: int, gaps: list[tuple[int, int]]
) -> None:
    verdict = judge(recorded, last, now, some, Hearing(now, since, gaps))
    assert verdict.state == recorded or may_move(recorded, verdict.state)
    assert (verdict.due_ms is None) == (verdict.state == DEREGISTERED)
    assert verdict.due_ms is None or verdict.due_ms > now


@given(states, instants, instants, some_limits, outages())
def test_nobody_is_demoted_within_the_grace(
    recorded: NodeState, last: int, now: int, some: Limits, gaps: list[tuple[int, int]]
) -> None:
    since = now - some.grace_ms + 1
    assert judge(recorded, last, now, some, Hearing(now, since, gaps)).state in (recorded, ONLINE)


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits)
def test_judging_again_at_once_changes_nothing(recorded: NodeState, last: int, passed: int, some: Limits) -> None:
    now = last + passed
    once = judge(recorded, last, now, some, ALWAYS)
    assert judge(once.state, last, now, some, ALWAYS) == once


@given(instants, st.integers(0, 3 * DAY_MS), some_limits)
def test_looking_only_when_due_misses_nothing(last: int, passed: int, some: Limits) -> None:
    """A sweep that wakes at each due instant ends where one that looks once, at the end, does."""
    until = last + passed
    verdict = Verdict(ONLINE, last)
    while verdict.due_ms is not None and verdict.due_ms <= until:
        verdict = judge(verdict.state, last, verdict.due_ms, some, ALWAYS)
    assert verdict.state == judge(ONLINE, last, until, some, ALWAYS).state


@given(states, instants, some_limits)
def test_a_presumed_contact_moves_nobody(recorded: NodeState, now: int, some: Limits) -> None:
    assume(some.late_ms < some.offline_ms < some.deregister_ms)
    presumed = credible_last_ms(None, recorded, now, some)
    assert judge(recorded, presumed, now, some, ALWAYS).state == recorded


def test_limits_that_are_set_upside_down_are_raised() -> None:
    assert limits(10_000, 10, 3, 1) == Limits(100_000, 100_000, 100_000, 60_000)
    assert limits(1_000, 3, 10, 14_400, grace_least_s=5).grace_ms == 5_000


@given(states, instants, instants, some_limits, instants, outages())
def test_who_is_demoted_was_silent_for_as_long_while_we_heard(
    recorded: NodeState, last: int, now: int, some: Limits, since: int, gaps: list[tuple[int, int]]
) -> None:
    state = judge(recorded, last, now, some, Hearing(now, since, gaps)).state
    if LIFE.index(state) > LIFE.index(recorded):
        deaf = sum(max(0, min(end, now) - max(start, last)) for start, end in gaps)
        assert now - last - deaf >= some.of(state)


@given(states, instants, st.integers(0, 600_000), some_limits, instants, outages())
def test_who_was_heard_just_now_is_online(
    recorded: NodeState, last: int, passed: int, some: Limits, since: int, gaps: list[tuple[int, int]]
) -> None:
    now = last + passed % some.late_ms
    assert judge(recorded, last, now, some, Hearing(now, since, gaps)).state == ONLINE


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits, st.integers(0, 7_200_000))
def test_a_verdict_holds_until_it_is_due_and_no_longer(
    recorded: NodeState, last: int, passed: int, some: Limits, heard_for: int
) -> None:
    assume(some.late_ms < some.offline_ms < some.deregister_ms)
    now = last + passed
    hearing = Hearing(now, now - heard_for)
    state, due = _followed(judge(recorded, last, now, some, hearing), last, some, hearing)
    if due is not None:
        assert judge(state, last, due - 1, some, hearing).state == state
        assert judge(state, last, due, some, hearing).state != state


def _followed(verdict: Verdict, last: int, some: Limits, hearing: Hearing) -> tuple[NodeState, int | None]:
    """A verdict's end; where the limit is reached within the grace, that is the end of the grace."""
    if verdict.due_ms is None:
        return verdict.state, None
    again = judge(verdict.state, last, verdict.due_ms, some, hearing)
    if again.state != verdict.state:
        return verdict.state, verdict.due_ms
    assert again.due_ms == hearing.since_ms + some.grace_ms
    return verdict.state, again.due_ms


announced = st.integers(1, 3_600_000)


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits, outages(), announced)
def test_nobody_is_demoted_for_silence_it_announced(
    recorded: NodeState, last: int, passed: int, some: Limits, gaps: list[tuple[int, int]], announced_ms: int
) -> None:
    now = last + passed
    hearing = Hearing(now, 0, gaps)
    state = judge(recorded, last, now, some, hearing, Goodbye(announced_ms)).state
    if LIFE.index(state) > LIFE.index(recorded):
        assert silence_ms(last, now, gaps) >= some.of(state) + announced_ms


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits, outages(), announced)
def test_announced_silence_only_puts_a_judgement_off(
    recorded: NodeState, last: int, passed: int, some: Limits, gaps: list[tuple[int, int]], announced_ms: int
) -> None:
    """Judged so much later and without a word, while we hear all the time, it is the same."""
    now = last + passed
    with_word = judge(recorded, last, now + announced_ms, some, ALWAYS, Goodbye(announced_ms))
    without = judge(recorded, last, now, some, ALWAYS)
    assert with_word.state == without.state
    if with_word.due_ms is not None and without.due_ms is not None:
        assert with_word.due_ms == without.due_ms + announced_ms
    assert LIFE.index(judge(recorded, last, now, some, Hearing(now, 0, gaps), Goodbye(announced_ms)).state) <= max(
        LIFE.index(recorded), LIFE.index(judge(recorded, last, now, some, Hearing(now, 0, gaps)).state)
    )


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits, outages(), announced)
def test_a_goodbye_is_looked_at_again_when_it_is_over_and_not_for_ever(
    recorded: NodeState, last: int, passed: int, some: Limits, gaps: list[tuple[int, int]], announced_ms: int
) -> None:
    now, goodbye = last + passed, Goodbye(announced_ms)
    verdict = judge(recorded, last, now, some, Hearing(now, 0, gaps), goodbye)
    while verdict.due_ms is not None:
        assert verdict.due_ms > now
        now = verdict.due_ms
        verdict = judge(verdict.state, last, now, some, Hearing(now, 0, gaps), goodbye)
    assert verdict.state == DEREGISTERED


@given(states, instants, st.integers(0, 3 * DAY_MS), some_limits, instants, outages())
def test_who_was_stopped_is_offline_at_once_and_never_nearer(
    recorded: NodeState, last: int, passed: int, some: Limits, since: int, gaps: list[tuple[int, int]]
) -> None:
    now = last + passed
    verdict = judge(recorded, last, now, some, Hearing(now, since, gaps), Goodbye(None))
    assert LIFE.index(verdict.state) >= LIFE.index(OFFLINE)
    assert verdict.state == recorded or may_move(recorded, verdict.state)
    assert verdict.due_ms is None or verdict.due_ms > now


@given(states, instants, st.integers(0, 3 * DAY_MS), instants, outages())
def test_an_ephemeral_node_is_never_late_nor_offline(
    recorded: NodeState, last: int, passed: int, since: int, gaps: list[tuple[int, int]]
) -> None:
    now, some = last + passed, limits(10_000, 3, 10, 14_400, is_ephemeral=True)
    assert judge(recorded, last, now, some, Hearing(now, since, gaps)).state in (recorded, ONLINE, DEREGISTERED)
    assert judge(ONLINE, last, last + 99_999, some, ALWAYS).state == ONLINE
    assert judge(ONLINE, last, last + 100_000, some, ALWAYS).state == DEREGISTERED


@given(instants, st.integers(0, 3 * DAY_MS), some_limits, announced, states)
def test_what_remains_of_an_announced_time_is_presumed_after_a_loss(
    said: int, passed: int, some: Limits, announced_ms: int, recorded: NodeState
) -> None:
    assume(some.late_ms < some.offline_ms < some.deregister_ms)
    now = said + passed
    last = presumed_last_ms(said, announced_ms, recorded, now, some)
    assert said <= last <= now
    assert judge(recorded, last, now, some, ALWAYS, Goodbye(announced_ms)).state in (recorded, ONLINE)
