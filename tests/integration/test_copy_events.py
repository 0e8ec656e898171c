"""The log of nodes as analysts find it in ClickHouse: all of it, each event once, nobody else's, gone when erased."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from sqlalchemy import Engine

from domain.errors import StoreUnavailable
from domain.nodes import NodeState, Said
from domain.settings import Settings
from schema import accounts, erasures, event_copies, migrate, nodes
from schema.clickhouse_client import ClickHouse
from tests.clickhouse_server import Server
from workers.copy_events import AT_ONCE, copy_events, is_due
from workers.erase import erase
from workers.stores import Stores

NOW = datetime.now(UTC).replace(microsecond=123_000)


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, sqlite_control: Engine, redis_sync: redis.Redis
) -> Iterator[Stores]:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    settings = Settings(_env_file=None)
    clickhouse = ClickHouse(f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}")
    migrate.upgrade(clickhouse, settings)
    yield Stores(settings, sqlite_control, redis_sync, clickhouse)
    clickhouse.close()


def rows(stores: Stores, columns: str = "seq") -> list[tuple[object, ...]]:
    found = stores.clickhouse.query(f"SELECT {columns} FROM node_events ORDER BY seq").result_rows
    return [tuple(row) for row in found]


def live_a_little(control: Engine, name: str = "web-1") -> nodes.NodeRow:
    """A node that is registered, late, and online again."""
    account_id = accounts.create(control, f"account of {name}", "owner@example.org", NOW).id
    (node,) = nodes.meet(control, account_id, {name: Said("i1", sent_at=NOW - timedelta(minutes=4))}, NOW)
    for minute, state in enumerate((NodeState.LATE, NodeState.ONLINE), start=1):
        nodes.transition(control, account_id, node.id, state, cause="test", now=NOW + timedelta(minutes=minute))
    return node


def test_every_event_of_a_node_is_copied_and_no_other(stores: Stores) -> None:
    assert not is_due(stores)
    node = live_a_little(stores.control)
    assert is_due(stores)
    copy_events(stores, NOW)
    found = rows(stores, "toString(account), node, toString(node_id), type, cause, actor")
    about = (str(node.account_id), "web-1", str(node.id))
    assert found == [
        (*about, "node_registered", "contact", f"node/{node.id}"),
        (*about, "node_late", "test", "system"),
        (*about, "node_online", "test", "system"),
    ]
    times = rows(stores, "toUnixTimestamp64Milli(ts), toUnixTimestamp64Milli(agent_clock)")
    at_ms = round(NOW.timestamp() * 1000)
    assert times[0] == (at_ms, at_ms - 240_000)
    assert times[1] == (at_ms + 60_000, None)
    (payload,) = rows(stores, "payload")[0]
    assert json.loads(str(payload))["name"] == "web-1"


def test_a_copy_goes_on_where_it_was_and_repeats_nothing(stores: Stores) -> None:
    live_a_little(stores.control)
    for _ in range(2):
        copy_events(stores, NOW)
    assert len(rows(stores)) == 3
    live_a_little(stores.control, "web-2")
    copy_events(stores, NOW)
    assert len(set(rows(stores))) == len(rows(stores)) == 6


def test_a_batch_whose_answer_was_lost_is_there_once(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is tried again from the old place, and meanwhile the log has grown."""
    live_a_little(stores.control)
    insert = event_copies.insert

    def insert_and_lose(*args: object) -> None:
        insert(*args)  # type: ignore[arg-type]
        raise StoreUnavailable("the answer was lost")

    monkeypatch.setattr(event_copies, "insert", insert_and_lose)
    copy_events(stores, NOW)
    monkeypatch.undo()
    live_a_little(stores.control, "web-2")
    monkeypatch.setattr(event_copies, "copied", lambda _clickhouse: 0)  # the first INSERT is not yet to be seen
    copy_events(stores, NOW)
    monkeypatch.undo()
    copy_events(stores, NOW)
    assert len(set(rows(stores))) == len(rows(stores)) == 6


def test_a_long_log_is_copied_in_batches(stores: Stores) -> None:
    account_id = accounts.create(stores.control, "home", None, NOW).id
    names = [f"node-{n:05}" for n in range(2 * AT_ONCE + 10)]
    nodes.register_many(stores.control, account_id, names, NOW)
    copy_events(stores, NOW)
    assert {name for (name,) in rows(stores, "node")} == set(names)
    assert len(rows(stores)) == len(names)


def test_a_removed_node_is_still_called_by_its_name(stores: Stores) -> None:
    node = live_a_little(stores.control)
    nodes.remove(stores.control, node.account_id, "web-1", NOW, actor="user/1")
    copy_events(stores, NOW)
    assert rows(stores, "node, type")[-1] == ("web-1", "node_removed")


def test_what_was_erased_does_not_come_back(stores: Stores) -> None:
    first, last = live_a_little(stores.control), live_a_little(stores.control, "web-2")
    copy_events(stores, NOW)
    with stores.control.begin() as conn:
        erasures.ask(conn, last.account_id, "", NOW)
    erase(stores, NOW)
    stores.clickhouse.command("OPTIMIZE TABLE node_events FINAL")  # waits for the mutation
    for _ in range(2):
        copy_events(stores, NOW)
    assert {account for (account,) in rows(stores, "toString(account)")} == {str(first.account_id)}


def test_while_clickhouse_is_away_nothing_is_copied_and_nothing_fails(stores: Stores) -> None:
    live_a_little(stores.control)
    away = Stores(stores.settings, stores.control, stores.redis, ClickHouse("http://127.0.0.1:1/default"))
    copy_events(away, NOW)
    away.clickhouse.close()
    copy_events(stores, NOW)
    assert len(rows(stores)) == 3
