"""Nodes that leave on purpose, that come and go, that were removed; and limits that change under way."""

from datetime import timedelta

import pytest

from domain.commands import Kind
from domain.errors import NotFound
from domain.nodes import NodeState, Said
from schema import accounts, heartbeats, keys, nodes
from schema.heartbeats import Farewell
from schema.rebuild import rebuild
from tests.fleet import DEREGISTERED_S, GRACE_S, LATE_S, OFFLINE_S, Fleet, at, ms

RESTART = Farewell("restart", 600_000)
BACK_S = 610
"""A node that says RESTART at 10 s means to be back by then."""


def start_and_leave(fleet: Fleet, farewell: Farewell, *, is_ephemeral: bool = False) -> None:
    """Heard at 0 s, says goodbye at 10 s; the sweep has seen both."""
    fleet.beat(0, "web-1", is_ephemeral=is_ephemeral)
    fleet.sweep(0)
    fleet.hear_on(10)
    fleet.beat(10, "web-1", farewell=farewell)
    fleet.sweep(10)


def test_a_node_that_announced_its_silence_is_not_late_until_it_meant_to_be_back(fleet: Fleet) -> None:
    start_and_leave(fleet, RESTART)
    node = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert node is not None
    assert (node.away_since, node.away_until) == (at(10), at(BACK_S))
    for seconds, state in [
        (BACK_S, NodeState.ONLINE),
        (BACK_S + LATE_S - 1, NodeState.ONLINE),
        (BACK_S + LATE_S, NodeState.LATE),
        (BACK_S + OFFLINE_S, NodeState.OFFLINE),
        (BACK_S + DEREGISTERED_S, NodeState.DEREGISTERED),
    ]:
        fleet.hear_on(seconds)
        fleet.sweep(seconds)
        assert fleet.state("web-1") == state, seconds
    away = fleet.history("web-1")[1]
    assert (away.type, away.at, away.payload["until"], away.payload["reason"]) == (
        "node_away",
        at(10),
        at(BACK_S).isoformat(),
        "restart",
    )
    assert fleet.told("web-1")[2] == ("node_late", "silent for 30 s after it meant to be back")


def test_a_node_that_comes_back_is_counted_from_then_on(fleet: Fleet) -> None:
    start_and_leave(fleet, RESTART)
    fleet.hear_on(40)
    fleet.beat(40, "web-1")
    fleet.sweep(40)
    assert fleet.told("web-1") == [("node_registered", "contact"), ("node_away", ""), ("node_back", "")]
    node = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert node is not None
    assert (node.away_since, node.away_until) == (None, None)
    assert fleet.due_s("web-1") == 40 + LATE_S
    fleet.hear_on(40 + LATE_S)
    fleet.sweep(40 + LATE_S)
    assert fleet.state("web-1") == NodeState.LATE
    assert rebuild(fleet.control).is_identical


def test_a_goodbye_is_recorded_once(fleet: Fleet) -> None:
    start_and_leave(fleet, RESTART)
    for seconds in (12, 14, 400):
        fleet.hear_on(seconds)
        heartbeats.look_at(fleet.sync, fleet.account_id, ["web-1"], ms(seconds))
        fleet.sweep(seconds)
    assert [event.type for event in fleet.history("web-1")] == ["node_registered", "node_away"]


@pytest.mark.parametrize("flushed_s", [11, 300])
def test_a_goodbye_outlives_a_flush_of_redis(fleet: Fleet, flushed_s: int) -> None:
    start_and_leave(fleet, RESTART)
    fleet.sync.flushall()
    fleet.hear(flushed_s, flushed_s)
    fleet.reconcile(flushed_s)
    for seconds in range(flushed_s, BACK_S + LATE_S, 60):
        fleet.hear_on(seconds)
        fleet.sweep(seconds)
    assert fleet.state("web-1") == NodeState.ONLINE
    fleet.hear_on(BACK_S + LATE_S)
    fleet.sweep(BACK_S + LATE_S)
    assert fleet.state("web-1") == NodeState.LATE
    assert [event.type for event in fleet.history("web-1")] == ["node_registered", "node_away", "node_late"]


def test_a_flush_after_the_announced_time_tells_no_return_that_never_was(fleet: Fleet) -> None:
    start_and_leave(fleet, RESTART)
    fleet.sync.flushall()
    flushed_s = BACK_S + 20
    fleet.hear(flushed_s, flushed_s)
    fleet.reconcile(flushed_s)
    fleet.pass_time(flushed_s, flushed_s + GRACE_S + 2)
    assert [event.type for event in fleet.history("web-1")] == ["node_registered", "node_away", "node_late"]


def test_a_redis_that_came_back_from_before_the_goodbye_is_told(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    places = [keys.nodes(fleet.account_id), keys.deadlines(fleet.account_id)]
    kept = {key: fleet.sync.dump(key) for key in places}
    fleet.beat(10, "web-1", farewell=RESTART)
    fleet.hear_on(10)
    fleet.sweep(10)
    for key, value in kept.items():
        fleet.sync.restore(key, 0, value, replace=True)
    fleet.hear(12, 12)
    assert fleet.reconcile(12) == 1
    fleet.hear_on(300)
    fleet.sweep(300)
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.due_s("web-1") == BACK_S + LATE_S


def test_our_own_outage_does_not_eat_what_a_node_announced(fleet: Fleet) -> None:
    start_and_leave(fleet, Farewell("restart", 120_000))
    fleet.hear(10, 20)
    back_s = 3_620
    fleet.hear(back_s, back_s, is_first=True)
    fleet.pass_time(back_s, back_s + 139)  # 10 s of the 120 had passed; 30 more make it late
    assert fleet.state("web-1") == NodeState.ONLINE
    fleet.pass_time(back_s + 139, back_s + 141)
    assert fleet.state("web-1") == NodeState.LATE


def test_a_flush_and_a_clock_set_back_tell_no_return_that_never_was(fleet: Fleet) -> None:
    start_and_leave(fleet, RESTART)
    fleet.sync.flushall()
    back_s = -3_600
    fleet.hear(back_s, back_s)
    fleet.reconcile(back_s)
    fleet.pass_time(back_s, back_s + 10)
    assert [event.type for event in fleet.history("web-1")] == ["node_registered", "node_away"]


@pytest.mark.parametrize("jump_s", [3_600, -3_600], ids=["forward", "back"])
def test_a_jump_of_our_clock_does_not_end_a_goodbye(fleet: Fleet, jump_s: int) -> None:
    start_and_leave(fleet, RESTART)
    fleet.hear(10, 20)
    now_s = 20 + jump_s
    fleet.hear(now_s, now_s)
    fleet.reconcile(now_s)
    for seconds in range(now_s, now_s + 590, 4):
        fleet.hear(seconds, seconds)
        fleet.sweep(seconds)
    assert fleet.state("web-1") == NodeState.ONLINE
    for seconds in range(now_s + 590, now_s + 640, 4):
        fleet.hear(seconds, seconds)
        fleet.sweep(seconds)
    assert fleet.state("web-1") == NodeState.LATE
    assert [event.type for event in fleet.history("web-1")] == ["node_registered", "node_away", "node_late"]


def test_a_node_that_was_stopped_is_offline_at_once(fleet: Fleet) -> None:
    start_and_leave(fleet, Farewell("stop"))
    assert fleet.told("web-1")[-1] == ("node_offline", "said goodbye: stop")
    assert fleet.due_s("web-1") == 10 + DEREGISTERED_S
    fleet.beat(20, "web-1")
    fleet.hear_on(20)
    fleet.sweep(20)
    assert fleet.told("web-1")[-1] == ("node_online", "contact")


def test_a_node_that_was_stopped_is_believed_within_our_grace(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.hear(0, 8, is_first=True)
    fleet.beat(8, "web-1", farewell=Farewell("stop"))
    fleet.sweep(8)
    assert fleet.state("web-1") == NodeState.OFFLINE


def test_an_ephemeral_node_is_given_up_without_a_word(fleet: Fleet) -> None:
    fleet.beat(0, "job-1", is_ephemeral=True)
    fleet.sweep(0)
    for seconds in (LATE_S, OFFLINE_S - 1):
        fleet.hear_on(seconds)
        fleet.sweep(seconds)
        assert fleet.state("job-1") == NodeState.ONLINE
    fleet.hear_on(OFFLINE_S)
    fleet.sweep(OFFLINE_S)
    assert fleet.told("job-1") == [("node_registered", "contact"), ("node_deregistered", "silent for 100 s")]
    assert fleet.contact("job-1") is None
    assert fleet.beat(OFFLINE_S + 60, "job-1", is_ephemeral=True) == [], "no command tells it so"
    assert fleet.state("job-1") == NodeState.ONLINE


def test_an_ephemeral_node_that_says_goodbye_is_given_up_at_once_and_may_return(fleet: Fleet) -> None:
    start_and_leave(fleet, Farewell("stop"), is_ephemeral=True)
    assert fleet.told("web-1")[-1] == ("node_deregistered", "said goodbye: stop")
    assert fleet.contact("web-1") is None
    fleet.beat(15, "web-1", is_ephemeral=True)
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_node_becomes_ephemeral_and_ordinary_again(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    for is_ephemeral in (True, True, False):
        nodes.meet(fleet.control, fleet.account_id, {"web-1": Said(is_ephemeral=is_ephemeral)}, at(1))
    assert [event.payload.get("is_ephemeral") for event in fleet.history("web-1")] == [False, True, False]


def test_an_accounts_own_limit_counts_and_a_change_takes_effect_on_who_counts_already(fleet: Fleet) -> None:
    stranger = accounts.create(fleet.control, "stranger", None, at(0)).id
    fleet.beat(0, "web-1")
    fleet.beat(0, "web-1", account_id=stranger)
    fleet.hear_on(OFFLINE_S)
    fleet.sweep(0)
    fleet.sweep(OFFLINE_S)
    assert fleet.due_s("web-1") == DEREGISTERED_S
    accounts.configure(fleet.control, fleet.account_id, 600, at(OFFLINE_S), actor="system")
    fleet.hear_on(OFFLINE_S + 60)
    assert fleet.reconcile(OFFLINE_S + 60) == 1
    assert fleet.due_s("web-1") == 600
    fleet.hear_on(600)
    fleet.sweep(600)
    assert (fleet.state("web-1"), fleet.state("web-1", stranger)) == (NodeState.DEREGISTERED, NodeState.OFFLINE)


def test_a_longer_limit_counts_for_who_is_due_by_the_shorter_one(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    fleet.hear_on(OFFLINE_S)
    fleet.sweep(OFFLINE_S)
    accounts.configure(fleet.control, fleet.account_id, 2 * DEREGISTERED_S, at(OFFLINE_S), actor="system")
    fleet.hear_on(DEREGISTERED_S)
    fleet.sweep(DEREGISTERED_S)
    assert fleet.state("web-1") == NodeState.OFFLINE
    assert fleet.due_s("web-1") == 2 * DEREGISTERED_S


def test_a_removed_node_is_forgotten_by_redis_and_new_when_it_is_heard(fleet: Fleet) -> None:
    """Redis was away as it was removed, and keeps what it knew."""
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    before = nodes.remove(fleet.control, fleet.account_id, "web-1", at(5), actor="user/1")
    fleet.hear_on(LATE_S)
    fleet.sweep(LATE_S)
    assert nodes.find(fleet.control, fleet.account_id, "web-1") is None
    assert fleet.contact("web-1") is None
    fleet.beat(LATE_S + 1, "web-1")
    after = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert after is not None
    assert after.id != before.id
    assert [event.type for event in fleet.history("web-1")] == ["node_registered"]


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "deregistered"])
def test_a_node_that_redis_takes_for_online_and_nobody_knows_is_looked_at(fleet: Fleet, is_removed: bool) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    if is_removed:
        nodes.remove(fleet.control, fleet.account_id, "web-1", at(5), actor="user/1")
    else:
        node = nodes.find(fleet.control, fleet.account_id, "web-1")
        assert node is not None
        nodes.transition(
            fleet.control, fleet.account_id, node.id, NodeState.DEREGISTERED, cause="Redis came back", now=at(5)
        )
    fleet.beat(10, "web-1")  # puts its deadline off, as it does with every ping
    fleet.hear_on(12)
    fleet.reconcile(12)
    fleet.sweep(12)
    fleet.beat(20, "web-1")
    fleet.hear_on(20)
    fleet.sweep(20)
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_removal_while_the_sweep_judges_harms_nobody(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1", "web-2")
    fleet.sweep(0)
    fleet.hear_on(LATE_S)
    find_many = nodes.find_many

    def removed_after(*args: object) -> object:
        rows = find_many(*args)  # type: ignore[arg-type]
        nodes.remove(fleet.control, fleet.account_id, "web-1", at(LATE_S), actor="user/1")
        return rows

    monkeypatch.setattr(nodes, "find_many", removed_after)
    fleet.sweep(LATE_S)
    monkeypatch.undo()
    assert fleet.state("web-2") == NodeState.LATE
    assert nodes.find(fleet.control, fleet.account_id, "web-1") is None


def test_who_is_not_there_cannot_be_removed(fleet: Fleet) -> None:
    stranger = accounts.create(fleet.control, "stranger", None, at(0)).id
    fleet.beat(0, "web-1", account_id=stranger)
    with pytest.raises(NotFound, match="no node web-1"):
        nodes.remove(fleet.control, fleet.account_id, "web-1", at(5), actor="user/1")


@pytest.mark.parametrize("interval_s", [300, None], ids=["pings every 300 s", "only sends snapshots"])
def test_who_comes_seldom_is_not_called_late_after_a_flush(fleet: Fleet, interval_s: int | None) -> None:
    nodes.meet(fleet.control, fleet.account_id, {"seldom": Said(interval_s=interval_s)}, at(0))
    fleet.sync.flushall()
    fleet.hear(10, 10)
    fleet.reconcile(10)
    for seconds in range(10, 890, 30):
        fleet.hear_on(seconds)
        fleet.sweep(seconds)
    assert fleet.told("seldom") == [("node_registered", "contact")]
    fleet.hear_on(10 + 900)
    fleet.sweep(10 + 900)
    assert fleet.state("seldom") == NodeState.LATE


def test_a_lost_deregister_command_is_issued_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    fleet.hear_on(DEREGISTERED_S)

    def dies(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("schema.commands.issue_sync", dies)
    with pytest.raises(ConnectionError):
        fleet.sweep(DEREGISTERED_S)
    monkeypatch.undo()
    assert fleet.state("web-1") == NodeState.DEREGISTERED
    fleet.sweep(DEREGISTERED_S)
    assert fleet.beat(DEREGISTERED_S + timedelta(hours=1).seconds, "web-1") == [Kind.DEREGISTER]
