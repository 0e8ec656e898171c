"""Rollouts: sequences of what nodes report, and laws that hold for every one of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.rollouts import MOVING, SHARE_PERCENT, Move, Progress, Rollout, Stage, decide, version_for

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEGUN = Rollout("disk", 1, 2, Stage.CANARY, (), NOON)
PLENTY = 1_000_000
NODES = [f"web-{n}" for n in range(40)]


def fleet(count: int = 40, **changed: Progress) -> list[Progress]:
    return [changed.get(node.replace("-", "_"), Progress(node, is_able=True)) for node in NODES[:count]]


def play(
    rollout: Rollout, report: Callable[[Rollout, str], Progress], *, minutes: int = 60, count: int = 40
) -> list[Rollout]:
    """Every stage it comes through, deciding once a minute on what each node would report."""
    seen = [rollout]
    for minute in range(1, minutes + 1):
        now = NOON + timedelta(minutes=minute)
        move = decide(seen[-1], [report(seen[-1], node) for node in NODES[:count]], 60, now, PLENTY)
        if move:
            seen.append(replace(seen[-1], stage=move.stage, canaries=move.canaries, since=now))
    return seen


def well(rollout: Rollout, node: str) -> Progress:
    """Reports good runs of the new version as soon as it has it."""
    runs = 2 if version_for(rollout, node) == rollout.pushed else 0
    return Progress(node, is_able=True, ok=runs)


def test_all_goes_well() -> None:
    stages = play(BEGUN, well)
    assert [one.stage for one in stages] == [Stage.CANARY, Stage.CANARY, Stage.SHARE, Stage.ALL, Stage.DONE]
    running = [sum(version_for(one, node) == 2 for node in NODES) for one in stages]
    assert running[:2] == [0, 1] and 1 < running[2] < 20 and running[3:] == [40, 40]


def test_one_node_is_enough_of_a_fleet() -> None:
    assert [one.stage for one in play(BEGUN, well, count=1)][-1] == Stage.DONE


def test_a_canary_that_fails_halts_before_anyone_else_has_it() -> None:
    def report(rollout: Rollout, node: str) -> Progress:
        fails = version_for(rollout, node) == 2
        return Progress(node, is_able=True, failed=int(fails), in_a_row=int(fails), message="line 3: nil")

    stages = play(BEGUN, report)
    assert [one.stage for one in stages] == [Stage.CANARY, Stage.CANARY, Stage.HALTED]
    assert {version_for(stages[-1], node) for node in NODES} == {1}
    canary = stages[1].canaries[0]
    move = decide(stages[1], [report(stages[1], node) for node in NODES], 60, NOON, PLENTY)
    assert move == Move(Stage.HALTED, reason=f"{canary}: line 3: nil")


def test_without_a_good_version_a_halt_takes_it_from_all() -> None:
    halted = replace(BEGUN, good=0, stage=Stage.HALTED)
    assert {version_for(halted, node) for node in NODES} == {0}


def test_one_bad_run_among_good_ones_halts_nothing_and_proves_nothing() -> None:
    canary = replace(BEGUN, canaries=("web-3",))
    shaky = Progress("web-3", is_able=True, ok=5, failed=1, in_a_row=1)
    assert decide(canary, fleet(web_3=shaky), 60, NOON, PLENTY) is None
    assert decide(canary, fleet(web_3=replace(shaky, in_a_row=2)), 60, NOON, PLENTY) is not None
    assert decide(canary, fleet(web_3=replace(shaky, in_a_row=0)), 60, NOON, PLENTY) == Move(Stage.SHARE, ("web-3",))
    assert decide(canary, fleet(web_3=Progress("web-3", is_able=True, ok=1)), 60, NOON, PLENTY) is None


@pytest.mark.parametrize(("broken", "stage"), [(2, Stage.DONE), (3, Stage.HALTED)])
def test_when_all_have_it_one_in_twenty_may_fail(broken: int, stage: Stage) -> None:
    bad = {node: Progress(node, True, failed=1, in_a_row=1, message="no df") for node in NODES[:broken]}
    found = [bad.get(node, Progress(node, True, ok=1)) for node in NODES]
    move = decide(replace(BEGUN, stage=Stage.ALL, canaries=("web-9",)), found, 60, NOON, PLENTY)
    assert move is not None and move.stage == stage
    if stage == Stage.HALTED:
        assert move.reason == "3 of 40 nodes fail, web-0: no df"


def test_a_canary_that_never_reports_halts_after_a_while() -> None:
    canary = replace(BEGUN, canaries=("web-3",))
    assert decide(canary, fleet(), 60, NOON + timedelta(minutes=5), PLENTY) is None
    move = decide(canary, fleet(), 60, NOON + timedelta(minutes=6), PLENTY)
    assert move == Move(Stage.HALTED, reason="web-3 was to run it first and has not")
    assert decide(canary, fleet(), 600, NOON + timedelta(minutes=6), PLENTY) is None, "it runs every ten minutes only"


def test_another_node_goes_first_when_the_canary_leaves() -> None:
    gone = fleet(web_3=Progress("web-3", is_able=False))
    move = decide(replace(BEGUN, canaries=("web-3",)), gone, 60, NOON, PLENTY)
    assert move is not None and move.stage == Stage.CANARY and move.canaries != ("web-3",)


def test_nobody_who_can_run_it_is_waited_for() -> None:
    asleep = [Progress(node, is_able=False) for node in NODES]
    for stage in MOVING:
        assert decide(replace(BEGUN, stage=stage), asleep, 60, NOON + timedelta(days=9), PLENTY) is None


def test_a_budget_that_would_break_halts() -> None:
    canary = replace(BEGUN, canaries=("web-3",))
    many = fleet(web_3=Progress("web-3", is_able=True, ok=1, samples=100))
    assert decide(canary, many, 60, NOON, 4_000) is None
    move = decide(canary, many, 60, NOON, 3_999)
    assert move is not None and move.stage == Stage.HALTED
    assert "100 series on each of 40 nodes would be 4,000" in move.reason and "3,999 more" in move.reason


@pytest.mark.parametrize("stage", [Stage.NONE, Stage.DONE, Stage.HALTED])
def test_what_has_come_to_its_end_stays_there(stage: Stage) -> None:
    broken = [Progress(node, True, failed=9, in_a_row=9) for node in NODES]
    assert decide(replace(BEGUN, stage=stage), broken, 60, NOON + timedelta(days=9), 0) is None


progress = st.builds(
    Progress,
    node=st.sampled_from(NODES),
    is_able=st.booleans(),
    ok=st.integers(0, 3),
    failed=st.integers(0, 3),
    in_a_row=st.integers(0, 3),
    samples=st.integers(0, 10),
)
rollouts = st.builds(
    Rollout,
    monitor=st.uuids().map(str),
    good=st.just(1),
    pushed=st.just(2),
    stage=st.sampled_from(sorted(Stage)),
    canaries=st.lists(st.sampled_from(NODES), max_size=1).map(tuple),
    since=st.just(NOON),
)
ORDER = [Stage.CANARY, Stage.SHARE, Stage.ALL, Stage.DONE]


@given(rollouts, st.lists(progress, unique_by=lambda one: one.node), st.integers(0, 100), st.integers(0, 500))
def test_no_stage_is_skipped_and_only_good_runs_go_on(
    rollout: Rollout, found: list[Progress], minutes: int, left: int
) -> None:
    move = decide(rollout, found, 60, NOON + timedelta(minutes=minutes), left)
    if move is None or move.stage == Stage.HALTED:
        assert move is None or move.reason
        return
    assert rollout.stage in MOVING
    step = ORDER.index(move.stage) - ORDER.index(rollout.stage)
    assert step == (0 if rollout.stage == move.stage == Stage.CANARY else 1)
    if step:
        asked = [one for one in found if one.is_able and version_for(rollout, one.node) == 2]
        assert asked and 2 * sum(one.is_good for one in asked) >= len(asked)


@given(rollouts, st.sampled_from(NODES))
def test_who_has_it_in_one_stage_has_it_in_the_next(rollout: Rollout, node: str) -> None:
    has = [version_for(replace(rollout, stage=stage), node) == 2 for stage in ORDER]
    assert has == sorted(has)


def test_a_share_is_about_a_quarter_and_another_one_each_time() -> None:
    names = [f"n{n}" for n in range(4_000)]
    first, second = (
        {name for name in names if version_for(replace(BEGUN, stage=Stage.SHARE, pushed=pushed), name) == pushed}
        for pushed in (2, 3)
    )
    for share in (first, second):
        assert abs(len(share) / len(names) - SHARE_PERCENT / 100) < 0.04
    assert len(first & second) < len(first) / 2
