"""Conditions on nodes: each move of a node told with its own time, also between two looks."""

import pytest

from domain.condition_specs import NodesRule
from domain.nodes import NodeState
from domain.nodes import Said as Described
from schema import nodes
from tests.watching import ME, Watch, at, stores, watch

__all__ = ["stores", "watch"]


def register(watch: Watch, name: str, **labels: str) -> None:
    nodes.meet(watch.stores.control, watch.account_id, {name: Described(labels=labels)}, at(-100))


def move(watch: Watch, name: str, state: NodeState, second: float) -> None:
    node = nodes.find(watch.stores.control, watch.account_id, name)
    assert node
    nodes.transition(watch.stores.control, watch.account_id, node.id, state, cause="silent", now=at(second))


def test_a_nodes_death_and_return_are_told_with_their_times(watch: Watch) -> None:
    watch.condition(NodesRule(("env=prod",), "late"))
    register(watch, "web-1", env="prod")
    register(watch, "web-2", env="test")
    move(watch, "web-1", NodeState.LATE, 3)
    move(watch, "web-2", NodeState.LATE, 3)
    watch.judge(6)
    move(watch, "web-1", NodeState.OFFLINE, 9)
    watch.judge(12)
    move(watch, "web-1", NodeState.ONLINE, 15.5)
    watch.judge(20)
    assert watch.story() == [(3, "web-1", "firing"), (15.5, "web-1", "ok")]


def test_a_node_that_came_back_between_two_looks_is_not_passed_over(watch: Watch) -> None:
    watch.condition(NodesRule((), "late"))
    register(watch, "web-1")
    move(watch, "web-1", NodeState.LATE, 101)
    move(watch, "web-1", NodeState.ONLINE, 107)
    watch.judge(600)
    assert watch.story() == [(101, "web-1", "firing"), (107, "web-1", "ok")]


def test_a_node_that_was_dead_before_the_condition_is_found(watch: Watch) -> None:
    register(watch, "web-1")
    move(watch, "web-1", NodeState.OFFLINE, -50)
    watch.condition(NodesRule())
    watch.judge(4)
    assert watch.story() == [(2, "web-1", "firing")]


@pytest.mark.parametrize("how", ["deregistered", "removed"])
def test_who_is_not_expected_any_more_is_judged_no_longer(watch: Watch, how: str) -> None:
    watch.condition(NodesRule())
    register(watch, "web-1")
    move(watch, "web-1", NodeState.OFFLINE, 1)
    watch.judge(4)
    if how == "removed":
        nodes.remove(watch.stores.control, watch.account_id, "web-1", at(9), actor=ME)
    else:
        move(watch, "web-1", NodeState.DEREGISTERED, 9)
    watch.judge(12)
    assert [one[1:] for one in watch.story()] == [("web-1", "firing"), ("web-1", "ended")]
