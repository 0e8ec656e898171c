"""Silent nodes move on and come back, each move an event that open pages are told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from domain.commands import Kind
from domain.nodes import NodeState
from schema import accounts, heartbeats, keys, nodes
from schema.heartbeats import UNKNOWN_INTERVAL_MS
from tests.fleet import DEREGISTERED_S, LATE_S, OFFLINE_S, Fleet, at, ms


def test_a_node_lives_through_all_states_and_returns(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", skew_ms=-240_000)
    assert fleet.sweep(0) == 0
    assert fleet.due_s("web-1") == LATE_S
    for seconds, state in [
        (LATE_S - 1, NodeState.ONLINE),
        (LATE_S, NodeState.LATE),
        (OFFLINE_S - 1, NodeState.LATE),
        (OFFLINE_S, NodeState.OFFLINE),
        (DEREGISTERED_S - 1, NodeState.OFFLINE),
        (DEREGISTERED_S, NodeState.DEREGISTERED),
    ]:
        fleet.hear_on(seconds)
        fleet.sweep(seconds)
        assert fleet.state("web-1") == state, seconds
    assert fleet.due_s("web-1") is None
    assert fleet.contact("web-1") is None
    assert fleet.told("web-1") == [
        ("node_registered", "contact"),
        ("node_late", "silent for 30 s"),
        ("node_offline", "silent for 100 s"),
        ("node_deregistered", "silent for 14400 s"),
    ]
    late = fleet.history("web-1")[1]
    assert (late.at, late.payload["agent_clock"]) == (at(LATE_S), at(-240).isoformat())
    fleet.beat(DEREGISTERED_S + 1, "web-1")
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.sweep(DEREGISTERED_S + 2) == 0
    assert fleet.told("web-1")[-1] == ("node_online", "contact")


@pytest.mark.parametrize("silent_s", [LATE_S, OFFLINE_S])
def test_a_contact_brings_a_silent_node_back(fleet: Fleet, silent_s: int) -> None:
    fleet.beat(0, "web-1")
    fleet.pass_time(0, silent_s)
    assert fleet.state("web-1") != NodeState.ONLINE
    fleet.beat(silent_s + 1, "web-1")
    fleet.sweep(silent_s + 1)
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.told("web-1")[-1] == ("node_online", "contact")
    assert fleet.due_s("web-1") == silent_s + 1 + LATE_S


def test_moves_are_told_to_open_pages(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    with fleet.sync.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.events_channel(fleet.account_id))
        channel.get_message(timeout=2)
        fleet.hear_on(LATE_S)
        fleet.sweep(LATE_S)
        message = channel.get_message(timeout=2)
    assert message is not None
    assert json.loads(message["data"]) == {"type": "node_late", "node": "web-1", "at": at(LATE_S).timestamp()}


def test_a_deregistered_node_that_returns_is_told_so(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.hear_on(DEREGISTERED_S)
    fleet.sweep(DEREGISTERED_S)
    assert fleet.beat(DEREGISTERED_S + 60, "web-1") == [Kind.DEREGISTER]
    assert fleet.state("web-1") == NodeState.ONLINE


@contextmanager
def heard_after_judging(fleet: Fleet, seconds: float, name: str) -> Iterator[None]:
    """A sweep in this block hears the node after it has judged, before it settles."""
    settle = heartbeats.settle

    def heard_before(*args: object) -> int:
        fleet.beat(seconds, name)
        return settle(*args)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heartbeats, "settle", heard_before)
        yield


def test_a_contact_between_judging_and_settling_wins(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    fleet.hear(0, LATE_S)
    with heard_after_judging(fleet, LATE_S, "web-1"):
        fleet.sweep(LATE_S)
    contact = fleet.contact("web-1")
    assert contact is not None
    assert (contact.last, contact.state) == (ms(LATE_S), "late")
    assert fleet.due_s("web-1") == LATE_S
    assert fleet.sweep(LATE_S) == 1
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_contact_that_undoes_a_deregistration_at_once(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.hear_on(DEREGISTERED_S)
    with heard_after_judging(fleet, DEREGISTERED_S, "web-1"):
        fleet.sweep(DEREGISTERED_S)
    fleet.sweep(DEREGISTERED_S)
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.due_s("web-1") == DEREGISTERED_S + LATE_S


def test_a_node_whose_contact_came_without_the_control_db_is_registered(fleet: Fleet) -> None:
    fleet.touch(0, "web-1", instance="i1")
    fleet.sweep(1)
    node = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert node is not None
    assert (node.state, node.instance_id) == (NodeState.ONLINE, "i1")
    assert fleet.due_s("web-1") == 3 * UNKNOWN_INTERVAL_MS / 1000


def test_a_deadline_of_a_node_that_nobody_knows_is_dropped(fleet: Fleet) -> None:
    fleet.sync.zadd(keys.deadlines(fleet.account_id), {"ghost": ms(0)})
    assert fleet.sweep(1) == 0
    assert fleet.due_s("ghost") is None


def test_a_thousand_nodes_are_due_at_once(fleet: Fleet) -> None:
    names = [f"node-{number:04}" for number in range(1_000)]
    nodes.register_many(fleet.control, fleet.account_id, names, at(0))
    fleet.touch(0, *names)
    fleet.sweep(0)
    late_s = 3 * UNKNOWN_INTERVAL_MS // 1000
    fleet.hear_on(late_s)
    assert fleet.sweep(late_s) == 1_000
    assert {node.state for node in nodes.list_for(fleet.control, fleet.account_id)} == {NodeState.LATE}
    assert fleet.sweep(late_s) == 0


def test_accounts_are_apart(fleet: Fleet) -> None:
    stranger = accounts.create(fleet.control, "stranger", None, at(0)).id
    fleet.beat(0, "web-1")
    fleet.beat(0, "web-1", account_id=stranger)
    fleet.pass_time(0, 20)
    fleet.beat(20, "web-1", account_id=stranger)
    fleet.pass_time(20, LATE_S + 2)
    assert (fleet.state("web-1"), fleet.state("web-1", stranger)) == (NodeState.LATE, NodeState.ONLINE)
    fleet.hear_on(DEREGISTERED_S)
    fleet.beat(DEREGISTERED_S, "web-1", account_id=stranger)
    fleet.sweep(DEREGISTERED_S)
    assert (fleet.state("web-1"), fleet.state("web-1", stranger)) == (NodeState.DEREGISTERED, NodeState.ONLINE)
    assert fleet.beat(DEREGISTERED_S + 1, "web-1", account_id=stranger) == []
