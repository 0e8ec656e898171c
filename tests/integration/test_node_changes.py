"""Lists follow the event log instead of reading all nodes again; on both databases."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from domain.events import NewEvent
from domain.ids import AccountId
from domain.nodes import NodeState
from schema import accounts, events, node_changes, nodes
from schema.node_changes import MANY, Changes

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def account_id(control: Engine) -> AccountId:
    return accounts.create(control, "home", None, NOW).id


def told(changes: Changes | None) -> dict[str, str]:
    assert changes is not None
    return {node.name: node.state.value for node in changes.nodes}


def test_what_changed_since_is_read_and_nothing_else(control: Engine, account_id: AccountId) -> None:
    web = nodes.register(control, account_id, "web-1", None, NOW, labels={"env": "prod"})
    nodes.register(control, account_id, "web-2", None, NOW)
    everything = node_changes.read_all(control, account_id)
    assert told(everything) == {"web-1": "online", "web-2": "online"}
    assert {node.name: node.labels for node in everything.nodes}["web-1"] == {"env": "prod"}
    assert node_changes.read_since(control, account_id, everything.seq) == Changes(everything.seq)
    nodes.transition(control, account_id, web.id, NodeState.LATE, cause="silence", now=NOW)
    later = node_changes.read_since(control, account_id, everything.seq)
    assert told(later) == {"web-1": "late"} and later
    nodes.register(control, account_id, "web-3", None, NOW)
    assert told(node_changes.read_since(control, account_id, later.seq)) == {"web-3": "online"}
    assert told(node_changes.read_since(control, account_id, everything.seq)) == {"web-1": "late", "web-3": "online"}


def test_a_removed_node_is_gone(control: Engine, account_id: AccountId) -> None:
    node = nodes.register(control, account_id, "web-1", None, NOW)
    seq = node_changes.read_all(control, account_id).seq
    with control.begin() as conn:
        events.append(conn, f"node/{node.id}", node.version, [NewEvent("node_removed")], NOW)
    changes = node_changes.read_since(control, account_id, seq)
    assert changes and changes.gone == {node.id} and not changes.nodes


def test_other_accounts_and_other_things_are_none_of_it(control: Engine, account_id: AccountId) -> None:
    nodes.register(control, account_id, "web-1", None, NOW)
    seq = node_changes.read_all(control, account_id).seq
    stranger = accounts.create(control, "stranger", None, NOW).id
    nodes.register(control, stranger, "canary", None, NOW)
    accounts.rename(control, account_id, "new name", NOW, actor="system")
    changes = node_changes.read_since(control, account_id, seq)
    assert changes and not changes.nodes and not changes.gone and changes.seq > seq
    assert told(node_changes.read_all(control, stranger)) == {"canary": "online"}


def test_when_too_many_changed_all_are_to_be_read(control: Engine, account_id: AccountId) -> None:
    seq = node_changes.read_all(control, account_id).seq
    nodes.register_many(control, account_id, [f"n-{n}" for n in range(MANY)], NOW)
    assert len(told(node_changes.read_since(control, account_id, seq))) == MANY
    nodes.register(control, account_id, "one more", None, NOW)
    assert node_changes.read_since(control, account_id, seq) is None
