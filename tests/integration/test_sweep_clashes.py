"""Two machines under one name: an event when they are seen taking turns, another when that is over, and no more."""

import pytest

from domain.nodes import CLASH_SHOWN
from schema import nodes
from schema.nodes import NodeRow
from schema.rebuild import rebuild
from tests.fleet import DEREGISTERED_S, LATE_S, Fleet, at

SHOWN_S = int(CLASH_SHOWN.total_seconds())
BEGAN, ENDED = "node_clash_began", "node_clash_ended"


def take_turns(fleet: Fleet, from_s: int, to_s: int) -> None:
    """Two machines ping in turn, every five seconds one of them; the sweep goes on all the while."""
    for number, second in enumerate(range(from_s, to_s, 5)):
        fleet.beat(second, "web-1", instance=f"machine-{number % 2}")
        listen(fleet, second + 2)


def ping_alone(fleet: Fleet, from_s: int, to_s: int) -> None:
    for second in range(from_s, to_s, 20):
        fleet.beat(second, "web-1", instance="machine-0")
        listen(fleet, second + 2)


def listen(fleet: Fleet, second: int) -> None:
    fleet.hear_on(second)
    fleet.sweep(second)


def clashes(fleet: Fleet) -> list[str]:
    return [kind for kind, _ in fleet.told("web-1") if kind.startswith("node_clash")]


def row(fleet: Fleet) -> NodeRow:
    node = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert node is not None
    return node


def test_two_machines_that_take_turns_for_long_are_one_event_until_it_is_over(fleet: Fleet) -> None:
    take_turns(fleet, 0, 500)
    assert clashes(fleet) == [BEGAN]
    began = next(event for event in fleet.history("web-1") if event.type == BEGAN)
    assert set(began.payload["instances"]) == {"machine-0", "machine-1"}
    assert at(10) <= began.at <= at(14), "their third turn shows it"
    ping_alone(fleet, 500, 480 + SHOWN_S)
    assert clashes(fleet) == [BEGAN], "they may only have paused"
    ping_alone(fleet, 500 + SHOWN_S, 560 + SHOWN_S)
    assert clashes(fleet) == [BEGAN, ENDED]
    ended = fleet.history("web-1")[-1]
    assert 480 <= ended.payload["lasted_s"] <= 520
    assert row(fleet).clash_since is None
    assert rebuild(fleet.control).is_identical


def test_a_clash_that_pauses_for_less_is_the_same_one(fleet: Fleet) -> None:
    now_s = 0
    for _ in range(4):
        take_turns(fleet, now_s, now_s + 30)
        ping_alone(fleet, now_s + 30, now_s + SHOWN_S - 60)
        now_s += SHOWN_S - 60
    assert clashes(fleet) == [BEGAN]


@pytest.mark.parametrize("restarts", [3])
def test_restarts_of_one_machine_are_none(fleet: Fleet, restarts: int) -> None:
    for number in range(restarts):
        fleet.beat(number * 20, "web-1", instance="machine-0", run=f"run-{number}")
        listen(fleet, number * 20 + 2)
    assert clashes(fleet) == []


def test_what_redis_forgot_of_a_clash_neither_ends_it_at_once_nor_keeps_it_for_ever(fleet: Fleet) -> None:
    take_turns(fleet, 0, 60)
    fleet.sync.flushall()
    fleet.hear(60, 60, is_first=True)
    fleet.reconcile(60)
    ping_alone(fleet, 60, 40 + SHOWN_S)
    assert clashes(fleet) == [BEGAN]
    ping_alone(fleet, 40 + SHOWN_S, 100 + SHOWN_S)
    fleet.reconcile(82 + SHOWN_S)  # as each minute
    listen(fleet, 84 + SHOWN_S)
    assert clashes(fleet) == [BEGAN, ENDED]


def test_a_node_that_is_given_up_clashes_no_more(fleet: Fleet) -> None:
    take_turns(fleet, 0, 60)
    listen(fleet, 60 + LATE_S)
    listen(fleet, 60 + DEREGISTERED_S)
    assert clashes(fleet) == [BEGAN, ENDED]
    assert row(fleet).clash_since is None
