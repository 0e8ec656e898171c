"""Nodes register at their first contact and move between states, each step an event; on both databases."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from domain.errors import NotFound
from domain.events import Event
from domain.ids import AccountId, NodeId
from domain.nodes import INSTANCE_REST, NodeState
from schema import accounts, events, nodes
from schema.control.engine import reading
from schema.nodes import NodeRow
from schema.rebuild import rebuild
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
SKEWED = NOW - timedelta(minutes=4)


@pytest.fixture
def account_id(control: Engine) -> AccountId:
    return accounts.create(control, "home", None, NOW).id


@pytest.fixture
def stranger_id(control: Engine) -> AccountId:
    return accounts.create(control, "stranger", None, NOW).id


def history(control: Engine, node: NodeRow) -> list[Event]:
    with reading(control) as conn:
        return events.read(conn, f"node/{node.id}")


def move(control: Engine, node: NodeRow, *states: NodeState, now: datetime = LATER) -> NodeRow | None:
    moved: NodeRow | None = node
    for state in states:
        moved = nodes.transition(control, node.account_id, node.id, state, cause="silence", now=now)
    return moved


def test_the_first_contact_registers_a_node(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(
        control, account_id, "web-1", "i1", NOW, labels={"role": "web"}, agent={"os": "linux"}, agent_clock=SKEWED
    )
    assert node == nodes.find(control, account_id, "web-1")
    assert (node.state, node.state_since, node.registered_at) == (NodeState.ONLINE, NOW, NOW)
    assert (node.instance_id, node.instance_since, node.version) == ("i1", NOW, 1)
    assert (node.labels, node.agent) == ({"role": "web"}, {"os": "linux"})
    (registered,) = history(control, node)
    assert (registered.at, registered.payload["agent_clock"]) == (NOW, SKEWED.isoformat())
    assert (registered.payload["cause"], registered.account_id) == ("contact", account_id)


def test_a_contact_without_news_writes_nothing(control: Engine, account_id: AccountId) -> None:
    first = nodes.register(control, account_id, "web-1", "i1", NOW, labels={"a": "b"}, agent={"v": 1.5, "os": ["x"]})
    for labels, agent in [({"a": "b"}, {"v": 1.5, "os": ["x"]}), (None, None)]:
        assert nodes.register(control, account_id, "web-1", "i1", LATER, labels=labels, agent=agent) == first
    assert len(history(control, first)) == 1


def test_first_contacts_at_once_register_one_node(control: Engine, account_id: AccountId) -> None:
    found = race(6, lambda _: nodes.register(control, account_id, "web-1", "i1", NOW))
    assert [node for node in found if isinstance(node, BaseException)] == []
    assert len(nodes.list_for(control, account_id)) == 1
    assert len(history(control, nodes.list_for(control, account_id)[0])) == 1


def test_what_a_node_says_of_itself_is_kept(control: Engine, account_id: AccountId) -> None:
    nodes.register(control, account_id, "web-1", None, NOW, labels={"role": "web"}, agent={"version": "1"})
    node = nodes.register(control, account_id, "web-1", None, LATER, agent={"version": "2"})
    assert (node.labels, node.agent, node.version) == ({"role": "web"}, {"version": "2"}, 2)
    assert nodes.register(control, account_id, "web-1", None, LATER, labels={}).labels == {}


@pytest.mark.parametrize("state", [NodeState.LATE, NodeState.OFFLINE])
def test_registering_does_not_bring_back_who_is_late_or_offline(
    control: Engine, account_id: AccountId, state: NodeState
) -> None:
    node = nodes.register(control, account_id, "web-1", None, NOW)
    move(control, node, state)
    assert nodes.register(control, account_id, "web-1", None, LATER).state == state


def test_a_deregistered_node_that_comes_back_is_online(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", "i1", NOW)
    move(control, node, NodeState.LATE, NodeState.OFFLINE, NodeState.DEREGISTERED)
    assert nodes.all_live(control) == []
    back = LATER + timedelta(days=1)
    outcomes = race(
        4, lambda _: nodes.register(control, account_id, "web-1", "i1", back, agent_clock=back, cause="snapshot")
    )
    assert {outcome.state for outcome in outcomes if isinstance(outcome, NodeRow)} == {NodeState.ONLINE}
    again = nodes.find(control, account_id, "web-1")
    assert again is not None
    assert (again.id, again.state_since, again.registered_at) == (node.id, back, NOW)
    *_, last = told = history(control, node)
    assert [event.type for event in told] == [
        "node_registered",
        "node_late",
        "node_offline",
        "node_deregistered",
        "node_online",
    ]
    assert last.payload == {"from": "deregistered", "cause": "snapshot", "agent_clock": back.isoformat()}


def test_a_transition_tells_its_cause_and_both_clocks(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", None, NOW)
    late = nodes.transition(control, account_id, node.id, NodeState.LATE, cause="3 pings missed", now=LATER)
    assert late is not None
    assert (late.state, late.state_since, late.version) == (NodeState.LATE, LATER, 2)
    nodes.transition(control, account_id, node.id, NodeState.ONLINE, cause="ping", now=LATER, agent_clock=SKEWED)
    _, silent, back = history(control, node)
    assert (silent.at, silent.payload) == (LATER, {"from": "online", "cause": "3 pings missed", "agent_clock": None})
    assert back.payload == {"from": "late", "cause": "ping", "agent_clock": SKEWED.isoformat()}


def test_a_move_that_does_not_exist_is_none(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", None, NOW)
    assert move(control, node, NodeState.ONLINE) is None
    assert move(control, node, NodeState.OFFLINE, NodeState.LATE) is None
    found = nodes.find(control, account_id, "web-1")
    assert found is not None
    assert (found.state, found.version) == (NodeState.OFFLINE, 2)


def test_two_sweeps_at_once_record_one_move(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", None, NOW)
    outcomes = race(4, lambda _: move(control, node, NodeState.LATE))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NodeRow", "NoneType", "NoneType", "NoneType"]
    assert len(history(control, node)) == 2


def test_a_sweep_moves_many_nodes_in_one_transaction(control: Engine, account_id: AccountId) -> None:
    found = [nodes.register(control, account_id, f"web-{n}", None, NOW) for n in range(3)]
    with pytest.raises(NotFound), control.begin() as conn:
        for node_id in (*(node.id for node in found), NodeId(uuid4())):
            nodes.transition_in(conn, account_id, node_id, NodeState.LATE, cause="silence", now=LATER)
    assert nodes.list_for(control, account_id) == found  # all or none
    with control.begin() as conn:
        for node in found:
            nodes.transition_in(conn, account_id, node.id, NodeState.LATE, cause="silence", now=LATER)
    assert {node.state for node in nodes.list_for(control, account_id)} == {NodeState.LATE}


def test_another_instance_under_the_name_is_told(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", "i1", NOW, labels={"disk": "a"})
    twin = nodes.register(control, account_id, "web-1", "i2", LATER, labels={"disk": "b"})
    assert (twin.id, twin.instance_id, twin.instance_since, twin.labels) == (node.id, "i2", LATER, {"disk": "b"})
    assert history(control, node)[1].payload == {"instance_id": "i2", "before": "i1"}


def test_twins_that_take_turns_do_not_flood_the_log(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", "i0", NOW, labels={"twin": "0"})
    pings = int(INSTANCE_REST.total_seconds() * 2 / 10)
    for ping in range(1, pings):
        twin = str(ping % 2)
        nodes.register(
            control, account_id, "web-1", f"i{twin}", NOW + timedelta(seconds=10 * ping), labels={"twin": twin}
        )
    assert len(history(control, node)) == 3  # registered, then one change with what the other says of itself


def test_an_agent_that_tells_its_instance_only_later(control: Engine, account_id: AccountId) -> None:
    nodes.register(control, account_id, "web-1", None, NOW)
    assert nodes.register(control, account_id, "web-1", "i1", NOW).instance_id == "i1"
    assert nodes.register(control, account_id, "web-1", None, NOW).instance_id == "i1"


def test_nodes_are_listed_by_name_and_only_to_their_account(
    control: Engine, account_id: AccountId, stranger_id: AccountId
) -> None:
    for name in ("b", "a", "B", "a.1", "a-1", "a/1"):
        nodes.register(control, account_id, name, None, NOW)
    theirs = nodes.register(control, stranger_id, "a", None, NOW)
    assert [node.name for node in nodes.list_for(control, account_id)] == ["B", "a", "a-1", "a.1", "a/1", "b"]
    assert nodes.list_for(control, stranger_id) == [theirs]
    mine = nodes.find(control, account_id, "a")
    assert mine is not None
    assert mine.id != theirs.id
    assert nodes.find(control, stranger_id, "b") is None
    with pytest.raises(NotFound):
        nodes.transition(control, stranger_id, mine.id, NodeState.LATE, cause="x", now=NOW)


def test_a_start_reads_back_every_live_node_of_every_account(
    control: Engine, account_id: AccountId, stranger_id: AccountId
) -> None:
    for owner in (account_id, stranger_id):
        for state in NodeState:
            node = nodes.register(control, owner, state.value, None, NOW)
            move(control, node, state)
    live = nodes.all_live(control)
    assert {(node.account_id, node.name, node.state, node.state_since) for node in live} == {
        (owner, state.value, state, NOW if state == NodeState.ONLINE else LATER)
        for owner in (account_id, stranger_id)
        for state in set(NodeState) - {NodeState.DEREGISTERED}
    }


def test_many_nodes_of_one_batch_are_registered_together(control: Engine, account_id: AccountId) -> None:
    nodes.register(control, account_id, "n3", None, NOW)
    names = [f"n{number}" for number in range(700)]
    for _ in range(2):
        found = nodes.register_many(control, account_id, names, LATER)
        assert sorted(node.name for node in found) == sorted(names)
        assert {node.name for node in found if node.registered_at == NOW} == {"n3"}
    assert len(nodes.list_for(control, account_id)) == 700
    assert rebuild(control).is_identical


def test_two_batches_that_name_the_same_new_nodes_register_each_once(control: Engine, account_id: AccountId) -> None:
    names = [f"n{number}" for number in range(50)]
    found = race(4, lambda _: nodes.register_many(control, account_id, names, NOW))
    assert all(isinstance(rows, list) and len(rows) == 50 for rows in found)
    assert len(nodes.list_for(control, account_id)) == 50
