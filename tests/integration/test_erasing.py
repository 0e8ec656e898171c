"""What people delete is gone: from the log and the state, from every tier of samples, from Redis; and nobody else's."""

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from uuid import UUID, uuid4

import pytest
import redis
from sqlalchemy import Engine, delete, select

from domain import dashboards as boards
from domain.accounts import Role
from domain.condition_specs import MetricRule
from domain.condition_specs import Spec as ConditionSpec
from domain.conditions import Policy, Reading, advance, first
from domain.errors import NotFound
from domain.evaluation import Move, group
from domain.events import Event
from domain.ids import AccountId
from domain.live import Wish
from domain.monitor_runs import Report, merge
from domain.monitors import Spec, Target
from domain.query import Query
from domain.settings import Settings
from schema import (
    accounts,
    api_keys,
    conditions,
    dashboards,
    erasures,
    event_copies,
    events,
    keys,
    memberships,
    migrate,
    monitors,
    nodes,
    recordings,
    run_history,
    samples,
    sessions,
    shares,
    statuses,
    users,
)
from schema.clickhouse_client import ClickHouse
from schema.control import tables
from schema.control.engine import reading
from schema.erasures import AGAIN, PAUSE_LEAST, PAUSE_MOST
from schema.rebuild import rebuild
from schema.run_history import Run
from tests.clickhouse_server import Server
from tests.notices import House
from tests.racing import race
from tests.valkey_server import Valkey
from workers.erase import erase
from workers.stores import Stores, open_stores

NOW = datetime(2026, 1, 1, 12, 30, 30, tzinfo=UTC)
ME = "user/me"
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
KEPT = Settings(raw_retention_days=10_000, minute_retention_days=10_000, hour_retention_days=10_000)


def furnished(control: Engine, name: str) -> AccountId:
    """An account with something in every table that may hold something of an account."""
    account_id = accounts.create(control, name, f"{name}@example.org", NOW).id
    owner = users.find_by_email(control, f"{name}@example.org")
    assert owner
    key = api_keys.create(control, account_id, f"{name} key", ["ingest"], NOW)
    api_keys.touch_last_used(control, account_id, key.id, NOW)
    nodes.register(control, account_id, f"{name}-node", None, NOW, labels={"of": name})
    recordings.start(control, account_id, Wish(f"{name}-node", ("cpu.user",), 1_000), MINUTE, "", NOW, actor=ME)
    invite(control, account_id, owner.id)
    spec = Spec(script=f"log('{name}-node')")
    monitors.create(control, account_id, "disk", spec, Target(match="*"), NOW, actor=ME)
    House(control, account_id).furnish(f"{name}-node")
    board = dashboards.create(control, account_id, boards.new(f"{name}-node at a glance"), NOW, actor=ME)
    shares.create(control, account_id, board.id, f"{name}-node", {}, None, NOW, actor=ME)
    watch(control, account_id, f"{name}-node")
    session = sessions.redeem(control, sessions.create_link(control, owner.id, NOW, 60), NOW)
    assert session
    with control.begin() as conn:
        conn.execute(
            tables.sessions.update().where(tables.sessions.c.user_id == owner.id).values(account_id=account_id)
        )
    return account_id


def watch(control: Engine, account_id: AccountId, node: str) -> None:
    """A condition that fires for a node."""
    rule = MetricRule(Query("A", "cpu.user", by=("node",)), 60, 10, ">", 90.0)
    condition = conditions.create(control, account_id, f"CPU of {node}", ConditionSpec(rule), NOW, actor=ME)
    of, before = group({"node": node}), first(NOW)
    after, transition = advance(before, Policy(), Reading(93.0, is_over=True, is_clear=False), NOW)
    move = Move(of, before, after, transition, NOW)
    with control.begin() as conn:
        statuses.record_in(conn, account_id, [(condition, move)], NOW)


def invite(control: Engine, account_id: AccountId, by: UUID) -> None:
    payload = {
        "account_id": str(account_id),
        "role": "viewer",
        "note": "",
        "secret_sha256": "00" * 32,
        "invited_by": str(by),
        "expires_at": (NOW + HOUR).isoformat(),
    }
    stream = f"invitation/{uuid4().hex[:16]}"
    events.retrying(
        control, lambda conn: events.append(conn, stream, 0, [events.NewEvent("invitation_created", payload)], NOW)
    )


def rows_of(control: Engine, account_id: AccountId) -> dict[str, int]:
    """How many rows name the account, by table."""
    found = {}
    with reading(control) as conn:
        for table in tables.metadata.sorted_tables:
            column = table.c.id if table.name == "accounts" else table.c.get("account_id")
            if column is not None:
                found[table.name] = len(conn.execute(select(column).where(column == account_id)).all())
    return found


def dump(control: Engine) -> str:
    with reading(control) as conn:
        return "".join(str(row) for table in tables.metadata.sorted_tables for row in conn.execute(select(table)))


def test_a_deleted_account_leaves_one_event_and_its_people(control: Engine) -> None:
    account_id, other = furnished(control, "canary"), furnished(control, "other")
    before = rows_of(control, other)
    assert all(count for table, count in before.items() if table != "erasures"), before
    accounts.delete(control, account_id, NOW + HOUR, actor=ME)
    left = {table: count for table, count in rows_of(control, account_id).items() if count}
    assert left == {"events": 1, "erasures": 1}
    assert rows_of(control, other) == before
    with reading(control) as conn:
        (deleted,) = events.read(conn, f"account/{account_id}")
    assert (deleted.type, deleted.actor, deleted.at, deleted.payload) == ("account_deleted", ME, NOW + HOUR, {})
    assert users.find_by_email(control, "canary@example.org")
    everything = dump(control)
    assert "canary-node" not in everything and "canary key" not in everything
    assert rebuild(control).is_identical
    with pytest.raises(NotFound):
        accounts.delete(control, account_id, NOW, actor=ME)
    with pytest.raises(NotFound):
        accounts.rename(control, account_id, "again", NOW, actor=ME)


def test_of_two_who_delete_at_once_one_does(control: Engine) -> None:
    account_id = furnished(control, "canary")
    outcomes = race(4, lambda _: accounts.delete(control, account_id, NOW, actor=ME))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "NotFound", "NotFound", "NotFound"]
    assert rows_of(control, account_id)["events"] == 1


@pytest.mark.parametrize("attempt", range(3))
def test_whoever_changes_an_account_while_it_is_deleted_leaves_nothing(control: Engine, attempt: int) -> None:
    account_id = furnished(control, "canary")
    guest = events.retrying(control, lambda conn: users.find_or_create(conn, f"{uuid4()}@example.org", NOW)).id
    changes: list[Callable[[], object]] = [
        lambda: accounts.delete(control, account_id, NOW, actor=ME),
        lambda: accounts.rename(control, account_id, "new", NOW, actor=ME),
        lambda: api_keys.create(control, account_id, "new", ["read"], NOW),
        lambda: memberships.grant(control, account_id, guest, Role.VIEWER, NOW, actor=ME),
    ]
    outcomes = race(len(changes), lambda n: changes[n]())
    assert outcomes[0] is None
    assert {type(one).__name__ for one in outcomes[1:]} <= {"NoneType", "AccountRow", "NewKey", "NotFound"}
    assert {table for table, count in rows_of(control, account_id).items() if count} == {"events", "erasures"}
    assert rebuild(control).is_identical


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, valkey: Valkey, sqlite_control: Engine
) -> Iterator[Stores]:
    """What the worker has, on empty stores."""
    server = clickhouse_server
    password = server.password.replace(" ", "%20")
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}",
        redis_url=valkey.url,
        database_url=sqlite_control.url.render_as_string(hide_password=False),
    )
    opened = open_stores(settings)
    migrate.upgrade(opened.clickhouse, KEPT)
    yield opened
    opened.close()


def send(stores: Stores, account_id: AccountId, node: str, at: datetime, value: float = 1) -> None:
    snapshot = {"node": node, "ts": at.timestamp(), "metrics": {"cpu.user": value, 'disk{of="a"}': value}}
    line = {"account": str(account_id), "batch": "b", "snapshots": [snapshot]}
    samples.insert(stores.clickhouse, json.dumps(line).encode() + b"\n", str(uuid4()))
    event = Event(f"node/{uuid4()}", 1, "node_late", {}, "system", at, next(SEQ), account_id)
    event_copies.insert(stores.clickhouse, [event], {event.stream: node})
    report = Report(str(uuid4()), 1, "ok", at.timestamp())
    run = Run(account_id, UUID(report.id), node, merge(None, report, int(at.timestamp() * 1000)))
    run_history.insert(stores.clickhouse, [run], str(uuid4()))


def count(stores: Stores, account_id: AccountId, node: str) -> dict[str, int]:
    where = f"account = '{account_id}' AND node = '{node}'"
    counted = {
        table: f"SELECT {'sum(count)' if table in ('samples_1m', 'samples_1h') else 'count()'} FROM {table} FINAL"
        if table != "samples"
        else "SELECT count() FROM samples"
        for table in erasures.TABLES
    }
    return {table: int(str(stores.clickhouse.command(f"{query} WHERE {where}"))) for table, query in counted.items()}


def touch_redis(client: redis.Redis, account_id: AccountId, node: str) -> None:
    client.hset(keys.nodes(account_id), node, b"contact")
    client.zadd(keys.deadlines(account_id), {node: 1})
    client.zadd(keys.queue(account_id, node), {"command": 1})
    client.hset(keys.commands(account_id, node), "command", b"stored")
    for key in (keys.live_viewers, keys.live_ask, keys.recording):
        client.set(key(account_id, node), "something live")


def run_until(stores: Stores, now: datetime, is_so: Callable[[], bool]) -> datetime:
    """The job, run as its scheduler would, until it has come about; returns when that was by the job's clock."""
    deadline_s = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline_s, "the erasure does not end"
        erase(stores, now)
        now += PAUSE_LEAST
        time.sleep(0.02)
    return now


def state(stores: Stores) -> list[tuple[str, int]]:
    with reading(stores.control) as conn:
        return [(row.node, row.passes) for row in conn.execute(select(tables.erasures))]


SEQ = itertools.count(1)
NOTHING = {"samples": 0, "samples_1m": 0, "samples_1h": 0, "series": 0, "node_events": 0, "monitor_runs": 0}
ONE = {"samples": 2, "samples_1m": 2, "samples_1h": 2, "series": 2, "node_events": 1, "monitor_runs": 1}


def test_nothing_of_a_deleted_account_is_left_in_any_tier(stores: Stores) -> None:
    account_id, other = (furnished(stores.control, name) for name in ("canary", "other"))
    for whose in (account_id, other):
        send(stores, whose, "web-1", NOW)
        touch_redis(stores.redis, whose, "web-1")
        for batch in range(700):
            stores.redis.set(keys.batch(whose, f"batch {batch}"), "s")
    accounts.delete(stores.control, account_id, NOW, actor=ME)
    later = run_until(stores, NOW, lambda: state(stores) == [("", 1)])
    assert count(stores, account_id, "web-1") == NOTHING
    assert count(stores, other, "web-1") == ONE
    held = [key.decode() for key in stores.redis.scan_iter()]
    assert len(held) == 707 and all(str(other) in key for key in held)

    send(stores, account_id, "web-1", NOW)  # acknowledged before, spooled till now
    touch_redis(stores.redis, account_id, "web-1")
    erase(stores, later)
    assert count(stores, account_id, "web-1") == ONE, "it is not due yet"
    run_until(stores, later + AGAIN[0], lambda: state(stores) == [("", 2)])
    assert count(stores, account_id, "web-1") == NOTHING
    assert not [key for key in stores.redis.scan_iter() if str(account_id) in key.decode()]
    run_until(stores, later + 2 * AGAIN[1], lambda: state(stores) == [("", 3)])
    run_until(stores, later + 2 * AGAIN[2], lambda: state(stores) == [])
    assert count(stores, other, "web-1") == ONE


def test_a_slow_mutation_is_begun_once_and_waited_for(stores: Stores) -> None:
    account_id = furnished(stores.control, "canary")
    send(stores, account_id, "web-1", NOW)
    accounts.delete(stores.control, account_id, NOW, actor=ME)
    stores.clickhouse.command("SYSTEM STOP MERGES samples")
    for look in range(4):
        erase(stores, NOW + look * PAUSE_MOST)
    running = "SELECT count() FROM system.mutations WHERE database = currentDatabase() AND table = 'samples'"
    assert int(str(stores.clickhouse.command(running))) == 1
    assert state(stores) == [("", 0)]
    stores.clickhouse.command("SYSTEM START MERGES samples")
    run_until(stores, NOW + 5 * PAUSE_MOST, lambda: state(stores) == [("", 1)])
    assert count(stores, account_id, "web-1") == NOTHING


def ask(stores: Stores, account_id: AccountId, node: str, now: datetime) -> None:
    with stores.control.begin() as conn:
        conn.execute(delete(tables.nodes).where(tables.nodes.c.name == node))
        erasures.ask(conn, account_id, node, now)


def test_a_node_is_erased_alone(stores: Stores) -> None:
    account_id, other = (furnished(stores.control, name) for name in ("ours", "theirs"))
    for whose, node in ((account_id, "it's"), (account_id, "web-1"), (other, "it's")):
        send(stores, whose, node, NOW)
        touch_redis(stores.redis, whose, node)
    ask(stores, account_id, "it's", NOW)
    run_until(stores, NOW, lambda: state(stores) == [("it's", 1)])
    assert count(stores, account_id, "it\\'s") == NOTHING
    assert count(stores, account_id, "web-1") == count(stores, other, "it\\'s") == ONE
    assert stores.redis.hkeys(keys.nodes(account_id)) == [b"web-1"]
    assert stores.redis.zrange(keys.deadlines(account_id), 0, -1) == [b"web-1"]
    assert not [key for key in stores.redis.scan_iter(f"*{account_id}*") if key.endswith(b":it's")]
    assert stores.redis.hkeys(keys.nodes(other)) == [b"it's"]


def test_a_node_that_comes_back_keeps_what_it_sends_since(stores: Stores) -> None:
    account_id = furnished(stores.control, "ours")
    send(stores, account_id, "web-1", NOW)
    ask(stores, account_id, "web-1", NOW)
    later = run_until(stores, NOW, lambda: state(stores) == [("web-1", 1)])
    nodes.register(stores.control, account_id, "web-1", None, later)
    send(stores, account_id, "web-1", NOW + MINUTE)
    send(stores, account_id, "web-1", NOW - HOUR)  # spooled till now
    touch_redis(stores.redis, account_id, "web-1")
    run_until(stores, later + AGAIN[0], lambda: state(stores) == [("web-1", 2)])
    assert count(stores, account_id, "web-1") == ONE
    assert stores.redis.hkeys(keys.nodes(account_id)) == [b"web-1"]


def test_an_erasure_asked_for_anew_begins_anew(stores: Stores) -> None:
    account_id = furnished(stores.control, "ours")
    ask(stores, account_id, "web-1", NOW)
    (old,) = erasures.due(stores.control, NOW, 10)
    ask(stores, account_id, "web-1", NOW + MINUTE)
    erasures.passed(stores.control, old, NOW)
    (new,) = erasures.due(stores.control, NOW + MINUTE, 10)
    assert (new.asked_at, new.passes) == (NOW + MINUTE, 0)


def test_stores_that_are_away_are_tried_ever_more_seldom_and_for_ever(stores: Stores) -> None:
    account_id = furnished(stores.control, "ours")
    ask(stores, account_id, "web-1", NOW)
    away = Stores(stores.settings, stores.control, stores.redis, ClickHouse("http://127.0.0.1:1/default"))
    now, pauses = NOW, []
    for _ in range(12):
        erase(away, now)
        (waiting,) = erasures.due(stores.control, now + 2 * PAUSE_MOST, 10)
        pauses.append(waiting.due_at - now)
        now = waiting.due_at
    assert pauses[:4] == [PAUSE_LEAST, 2 * PAUSE_LEAST, 4 * PAUSE_LEAST, 8 * PAUSE_LEAST]
    assert pauses[-1] == pauses[-2] == PAUSE_MOST
    away.clickhouse.close()


def test_every_table_with_something_of_an_account_is_erased() -> None:
    schema = files("schema").joinpath("clickhouse", "current.sql").read_text()
    created = re.findall(r"^CREATE TABLE (\w+)\n\((.*?)^ENGINE = (\S+)", schema, re.MULTILINE | re.DOTALL)
    kept = {name for name, columns, engine in created if "`account`" in columns and "Null" not in engine}
    assert kept == set(erasures.TABLES)


def test_every_key_of_an_account_carries_its_tag() -> None:
    assert keys.__doc__
    named = re.findall(r"^\| (.*?<account>.*?) *\| (\w+)", keys.__doc__, re.MULTILINE)
    stored = [key for key, kind in named if kind != "pubsub"]
    assert len(stored) > 4 and all("{<account>}" in key for key in stored), stored
