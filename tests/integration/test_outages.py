"""Our own restarts, outages, clocks set forward and back, a Redis that lost all: no false move, no lost deadline."""

import pytest
import redis

from domain.nodes import NodeState
from schema import commands, heartbeats, keys
from tests.fleet import DEREGISTERED_S, GRACE_S, LATE_S, OFFLINE_S, Fleet, ms


def test_nobody_is_judged_while_nobody_takes_pings(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    for seconds in (LATE_S, OFFLINE_S, DEREGISTERED_S):
        assert fleet.sweep(seconds) == 0
    assert fleet.state("web-1") == NodeState.ONLINE


@pytest.mark.parametrize("down_s", [20, 600, 2 * DEREGISTERED_S])
def test_a_restart_under_a_live_fleet_demotes_nobody(fleet: Fleet, down_s: int) -> None:
    fleet.beat(0, "web-1", "web-2")
    fleet.sweep(0)
    fleet.hear(down_s, down_s, is_first=True)
    fleet.pass_time(down_s, down_s + 10)
    fleet.beat(down_s + 10, "web-1")
    fleet.pass_time(down_s + 10, down_s + 19)
    fleet.beat(down_s + 19, "web-2")
    fleet.pass_time(down_s + 19, down_s + 29)
    assert [fleet.state(name) for name in ("web-1", "web-2")] == [NodeState.ONLINE] * 2
    assert fleet.told("web-1") == [("node_registered", "contact")]


def test_twenty_restarts_give_no_false_late_and_lose_no_deadline(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "dead")
    now_s = 0
    for _ in range(20):
        now_s += 25  # down for longer than an outage's least, up for less than the grace
        fleet.hear(now_s, now_s, is_first=True)
        fleet.sweep(now_s)
        fleet.beat(now_s + 8, "web-1")
        fleet.pass_time(now_s + 8, now_s + 12)
        now_s += 12
        assert fleet.state("web-1") == NodeState.ONLINE
        assert fleet.due_s("dead") is not None
    assert fleet.told("web-1") == [("node_registered", "contact")]
    fleet.hear(now_s, now_s)
    for second in range(now_s, now_s + GRACE_S + 2, 2):
        fleet.beat(second, "web-1")
        fleet.pass_time(second, second)
    assert (fleet.state("web-1"), fleet.state("dead")) == (NodeState.ONLINE, NodeState.OFFLINE)


def test_who_died_while_we_were_away_is_found_after_the_grace(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    back_s = 3_600
    fleet.hear(back_s, back_s, is_first=True)
    fleet.pass_time(back_s, back_s + GRACE_S - 1)
    assert fleet.state("web-1") == NodeState.ONLINE
    fleet.pass_time(back_s + GRACE_S - 1, back_s + GRACE_S + 2)
    assert fleet.state("web-1") == NodeState.LATE
    fleet.pass_time(back_s + GRACE_S + 2, back_s + OFFLINE_S + 2)
    assert fleet.state("web-1") == NodeState.OFFLINE


def test_our_outage_is_not_their_silence(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.hear(0, 20)
    back_s = 20 + DEREGISTERED_S
    fleet.hear(back_s, back_s, is_first=True)
    fleet.pass_time(back_s, back_s + GRACE_S)
    # 20 s before and 60 s after the outage are late, and not yet offline, let alone deregistered.
    assert fleet.state("web-1") == NodeState.LATE
    fleet.pass_time(back_s + GRACE_S, back_s + OFFLINE_S - 20)
    assert fleet.state("web-1") == NodeState.OFFLINE


def test_what_redis_lost_is_restored_and_the_dead_are_found(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "dead", "late")
    fleet.sweep(0)
    fleet.beat(20, "web-1", "dead")
    fleet.pass_time(0, 36)
    assert fleet.state("late") == NodeState.LATE
    fleet.sync.flushall()
    assert fleet.sweep(40) == 0
    assert fleet.reconcile(40) == 0, "nobody has said yet that we hear"
    fleet.hear(42, 42)
    assert fleet.reconcile(42) == 3
    assert fleet.reconcile(43) == 0
    assert {name: fleet.due_s(name) for name in ("dead", "late")} == {"dead": 72, "late": 112}
    for second in range(44, 146, 2):
        fleet.beat(second, "web-1")
        fleet.pass_time(second, second)
    assert [fleet.state(name) for name in ("web-1", "dead", "late")] == [
        NodeState.ONLINE,
        NodeState.OFFLINE,
        NodeState.OFFLINE,
    ]


def test_reconciling_keeps_what_is_known(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    before = fleet.contact("web-1"), fleet.due_s("web-1")
    assert fleet.reconcile(5) == 0
    assert (fleet.contact("web-1"), fleet.due_s("web-1")) == before


def test_a_lost_deadline_is_restored_from_the_contact(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "due")
    fleet.sweep(0)
    fleet.beat(9, "web-1")
    fleet.sync.delete(keys.deadlines(fleet.account_id))
    fleet.hear_on(LATE_S)
    assert fleet.reconcile(LATE_S) == 2
    assert (fleet.due_s("web-1"), fleet.due_s("due")) == (9 + LATE_S, LATE_S)
    assert fleet.sweep(LATE_S) == 1
    assert (fleet.state("web-1"), fleet.state("due")) == (NodeState.ONLINE, NodeState.LATE)


def test_a_move_that_redis_forgot_is_settled_again(fleet: Fleet) -> None:
    """Redis came back from before the settling: a node that is late would be thought online, and not be looked at."""
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    before = fleet.sync.dump(keys.nodes(fleet.account_id))
    fleet.hear_on(LATE_S)
    fleet.sweep(LATE_S)
    fleet.sync.restore(keys.nodes(fleet.account_id), 0, before, replace=True)
    assert fleet.reconcile(LATE_S + 1) == 1
    contact = fleet.contact("web-1")
    assert contact is not None
    assert (contact.state, contact.last) == ("late", ms(0))
    fleet.beat(LATE_S + 2, "web-1")
    fleet.sweep(LATE_S + 2)
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_move_that_redis_never_heard_of_is_not_for_ever(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    fleet.pass_time(0, 20)
    monkeypatch.setattr(heartbeats, "settle", lambda *_: 0)  # Redis died before it was settled
    fleet.hear(20, LATE_S)
    fleet.sweep(LATE_S)
    monkeypatch.undo()
    fleet.beat(LATE_S + 1, "web-1")  # Redis takes it for online and puts its deadline off
    assert fleet.sweep(LATE_S + 2) == 0
    assert fleet.state("web-1") == NodeState.LATE
    assert fleet.reconcile(LATE_S + 2) == 1
    assert fleet.sweep(LATE_S + 2) == 1
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_sweep_cut_short_by_redis_is_taken_up_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    fleet.hear_on(DEREGISTERED_S)

    def away(*_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(commands, "issue_sync", away)
    with pytest.raises(redis.ConnectionError):
        fleet.sweep(DEREGISTERED_S)
    monkeypatch.undo()
    assert fleet.state("web-1") == NodeState.DEREGISTERED
    assert fleet.sweep(DEREGISTERED_S) == 0
    assert fleet.contact("web-1") is None


def test_contacts_from_before_our_clock_was_set_back_are_forgotten(fleet: Fleet) -> None:
    fleet.beat(3_600, "web-1")
    fleet.hear(0, 0, is_first=True)
    assert fleet.reconcile(0) == 1
    assert fleet.due_s("web-1") == LATE_S
    fleet.pass_time(0, GRACE_S + 2)
    assert fleet.state("web-1") == NodeState.LATE


def test_our_clock_set_forward_demotes_nobody(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.pass_time(0, 4)
    fleet.pass_time(3_604, 3_608)
    fleet.beat(3_608, "web-1")
    fleet.pass_time(3_608, 3_636)
    assert fleet.told("web-1") == [("node_registered", "contact")]


def test_our_clock_set_back_demotes_nobody_and_the_dead_are_found(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "dead", "offline")
    fleet.pass_time(0, 4)
    fleet.beat(104, "web-1", "dead")
    fleet.hear(4, 104)
    fleet.sweep(104)
    assert fleet.state("offline") == NodeState.OFFLINE
    back_s = 104 - 3_600
    fleet.hear(back_s, back_s)
    assert fleet.reconcile(back_s) == 3
    for second in range(back_s, back_s + 120, 10):
        fleet.beat(second, "web-1")
        fleet.pass_time(second, second + 8)
    assert [fleet.state(name) for name in ("web-1", "dead", "offline")] == [
        NodeState.ONLINE,
        NodeState.OFFLINE,
        NodeState.OFFLINE,
    ]
    assert len(fleet.history("web-1")) == 1
