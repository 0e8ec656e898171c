"""Conditions judged on real stores, by a clock that the tests turn: nothing skipped, nothing doubled."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
import pytest
import redis
import redis.asyncio
from sqlalchemy import Engine, select

from domain.condition_specs import Capture, Condition, Level, MetricRule, NodesRule, Spec
from domain.conditions import NoData
from domain.ids import AccountId
from domain.nodes import NodeState
from domain.nodes import Said as Described
from domain.query import Query
from domain.settings import Settings
from domain.status_reports import Said
from schema import (
    accounts,
    conditions,
    hearing,
    keys,
    migrate,
    nodes,
    readings,
    recordings,
    reporting,
    samples,
    statuses,
    watermarks,
)
from schema.clickhouse_client import ClickHouse
from schema.control import tables
from schema.control.engine import reading
from schema.rebuild import rebuild
from tests.clickhouse_server import Server
from tests.racing import race
from tests.valkey_server import Calls, Valkey
from workers import finding
from workers.evaluate import evaluate
from workers.stores import Stores, open_stores

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = f"user/{uuid4()}"
QUERY = Query("A", "cpu", by=("node",))
CPU = MetricRule(QUERY, 10, 10, ">", 90.0)


def at(second: float) -> datetime:
    return START + timedelta(seconds=second)


class Watch(Calls):
    """One account whose conditions are judged."""

    def __init__(self, stores: Stores, valkey: Valkey, client: redis.Redis) -> None:
        super().__init__(valkey, client)
        self.stores = stores
        self.account_id = accounts.create(stores.control, "home", None, START).id

    def condition(self, spec: Spec | MetricRule | NodesRule = CPU, name: str = "CPU") -> Condition:
        spec = spec if isinstance(spec, Spec) else Spec(spec)
        return conditions.create(self.stores.control, self.account_id, name, spec, START, actor=ME)

    def send(self, values: Mapping[float, float], *nodes: str, account: AccountId | None = None) -> None:
        """Samples of `cpu` by second, of web-1 or of these nodes."""
        found = [
            {"node": node, "ts": at(second).timestamp(), "metrics": {"cpu": value}}
            for node in nodes or ["web-1"]
            for second, value in values.items()
        ]
        body = {"account": str(account or self.account_id), "batch": uuid4().hex, "snapshots": found}
        samples.insert(self.stores.clickhouse, msgspec.json.encode(body), uuid4().hex)

    def judge(self, second: float) -> None:
        evaluate(self.stores, at(second), str(self.account_id))

    def hear(self, from_s: float, to_s: float) -> None:
        """A process takes what is sent all that time, and says so."""

        async def work(client: redis.asyncio.Redis) -> None:
            await hearing.sign(client, int(at(from_s).timestamp() * 1000), is_first=True)

        self.run(work)
        self.sync.hset(keys.HEARING, "at", int(at(to_s).timestamp() * 1000))

    def story(self, account_id: AccountId | None = None) -> list[tuple[float, str, str]]:
        """All that became of statuses: second, group, state."""
        told = select(tables.events).where(tables.events.c.account_id == (account_id or self.account_id))
        with reading(self.stores.control) as conn:
            found = list(
                conn.execute(told.where(tables.events.c.stream.like("status/%")).order_by(tables.events.c.seq))
            )
        return [
            (
                (datetime.fromisoformat(one.payload["at"]) - START).total_seconds(),
                one.payload["labels"].get("node", ""),
                one.payload.get("to", "ended"),
            )
            for one in found
            if "at" in one.payload
        ]


@pytest.fixture
def stores(
    clickhouse_server: Server, clickhouse_database: str, valkey: Valkey, sqlite_control: Engine
) -> Iterator[Stores]:
    server, password = clickhouse_server, clickhouse_server.password.replace(" ", "%20")
    settings = Settings(
        _env_file=None,
        clickhouse_url=f"http://{server.username}:{password}@{server.host}:{server.port}/{clickhouse_database}",
        redis_url=valkey.url,
        database_url=sqlite_control.url.render_as_string(hide_password=False),
        raw_retention_days=10_000,
        minute_retention_days=10_000,
        hour_retention_days=10_000,
    )
    stores = open_stores(settings)
    migrate.upgrade(stores.clickhouse, settings)
    yield stores
    stores.close()


@pytest.fixture
def watch(stores: Stores, valkey: Valkey, redis_sync: redis.Redis) -> Watch:
    return Watch(stores, valkey, redis_sync)


WAVE = {second: 95.0 if second % 200 >= 100 else 10.0 for second in range(0, 720, 5)}


def test_a_condition_fires_and_ends_at_the_instants_that_say_so(watch: Watch) -> None:
    watch.condition(Spec(CPU, hold_s=20))
    watch.send({5: 10, 15: 95, 25: 95, 35: 95, 45: 10})
    for second in (12, 22, 32, 42, 52):
        watch.judge(second)
    assert watch.story() == [(20, "web-1", "pending"), (40, "web-1", "firing"), (50, "web-1", "ok")]


def test_nothing_is_judged_before_what_was_sent_can_be_read(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95})
    watch.judge(11.4)
    assert watch.story() == []
    watch.judge(12)
    assert watch.story() == [(10, "web-1", "firing")]


def test_who_was_stopped_for_ten_minutes_finds_what_who_was_not_found(watch: Watch) -> None:
    condition = watch.condition(Spec(CPU, hold_s=20, keep_firing_s=10))
    watch.send(WAVE)
    other = Watch(watch.stores, watch, watch.sync)  # type: ignore[arg-type]
    other.condition(Spec(CPU, hold_s=20, keep_firing_s=10))
    other.send(WAVE)
    for second in range(12, 713, 10):
        watch.judge(second)
    other.judge(105)
    assert len(other.story()) == 0
    other.judge(712)
    assert len(watch.story()) >= 9
    assert other.story() == watch.story()
    assert watermarks.due(watch.stores.control, watch.account_id, at(722)) == {condition.id: at(710)}
    assert rebuild(watch.stores.control).is_identical


def test_who_was_away_for_days_passes_over_what_is_too_old(watch: Watch) -> None:
    watch.condition(replace_every(CPU, 300))
    watch.send(dict.fromkeys(range(0, 90000, 100), 95.0))
    watch.judge(90_002)
    assert watch.story() == [(90_002 - 6 * 3_600 + 300 - (90_002 % 300), "web-1", "firing")]


def test_two_who_judge_at_once_record_it_once(watch: Watch) -> None:
    watch.condition()
    watch.send(WAVE)
    race(3, lambda _: watch.judge(712))
    watch.judge(712)
    seconds = [second for second, _, _ in watch.story()]
    assert seconds == sorted(set(seconds))
    assert len(seconds) == 7


def test_many_conditions_on_one_metric_cost_one_question(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        rule = replace_query(CPU, Query("A", "cpu", (f"node=web-{number}",), by=("node",)), threshold=85.0 + number)
        watch.condition(rule, f"CPU of web-{number}")
    watch.send({5: 100.0}, *[f"web-{number}" for number in range(30)])
    asked: list[str] = []
    ask = readings.ask
    monkeypatch.setattr(readings, "ask", lambda *args: asked.append(args[1]) or ask(*args))
    watch.judge(22)
    assert len(asked) == 2  # two instants, neither the first of its minute
    assert {(node, state) for _, node, state in watch.story()} >= {(f"web-{n}", "firing") for n in range(15)}
    assert {node for _, node, _ in watch.story()} == {f"web-{n}" for n in range(15)}


@pytest.mark.parametrize(
    ("no_data", "expected"),
    [
        (NoData.SHOW, [(120, "web-1", "no_data"), (190, "web-1", "ok")]),
        (NoData.OK, []),
        (NoData.FIRING, [(120, "web-1", "firing"), (190, "web-1", "ok")]),
    ],
)
def test_who_falls_silent_is_missed(watch: Watch, no_data: NoData, expected: Sequence[object]) -> None:
    watch.condition(Spec(CPU, no_data=no_data, no_data_after_s=60))
    watch.send({5: 10, 15: 10})
    watch.hear(-3_600, 190)
    for second in range(12, 183, 10):
        watch.judge(second)
    watch.send({185: 10})
    watch.judge(192)
    assert watch.story() == expected


def test_nobody_is_missed_who_could_not_be_heard(watch: Watch) -> None:
    watch.condition(Spec(CPU, no_data=NoData.NOTIFY, no_data_after_s=60))
    watch.send({5: 10})
    watch.judge(122)  # no sign of anyone who takes what is sent
    watch.hear(130, 182)
    watch.sync.zadd(keys.OUTAGES, {f"{ms(20)}-{ms(130)}": ms(130)})
    watch.judge(182)  # back for less than a minute
    assert watch.story() == []
    watch.hear(130, 242)
    watch.judge(242)
    assert watch.story() == [(240, "web-1", "no_data")]


def ms(second: float) -> int:
    return int(at(second).timestamp() * 1000)


def test_a_series_that_was_not_heard_for_long_is_judged_no_longer(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "FORGOTTEN_AFTER_S", 1_200)
    watch.condition(Spec(replace_every(CPU, 60), no_data=NoData.NOTIFY))
    watch.send({5: 95})
    watch.hear(-3_600, 1_800)
    watch.judge(1_802)
    assert watch.story() == [(60, "web-1", "firing"), (360, "web-1", "no_data"), (1_260, "web-1", "ended")]


def test_a_store_that_is_away_puts_it_off_and_skips_nothing(watch: Watch) -> None:
    watch.condition()
    watch.send(WAVE)
    down = replace(watch.stores, clickhouse=ClickHouse("http://nobody:x@127.0.0.1:9/none"))
    evaluate(down, at(300), str(watch.account_id))
    assert watch.story() == []
    watch.judge(712)
    assert len(watch.story()) == 7


def test_who_asks_for_too_much_fails_alone(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = watch.condition(replace_query(CPU, Query("A", "cpu")), "wide")
    watch.condition(name="narrow")
    monkeypatch.setattr(finding, "GROUPS_MAX", 2)
    watch.send({5: 95}, "a", "b")
    watch.send({5: 95, 15: 10}, "c")
    conditions.change(watch.stores.control, watch.account_id, wide.id, "wide", wide.spec, START, actor=ME)
    watch.judge(12)
    assert sorted(watch.story()) == [(10, "", "error"), (10, "", "error")]
    watch.judge(22)
    assert sorted(watch.story())[2:] == [(20, "", "ok"), (20, "", "ok")]


def test_another_accounts_samples_are_never_judged(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95}, account=AccountId(uuid4()))
    watch.judge(12)
    assert watch.story() == []


def test_the_values_of_what_fires_are_at_hand_for_pages(watch: Watch) -> None:
    condition = watch.condition()
    watch.send({5: 95, 15: 97})
    watch.judge(22)
    row = statuses.list_for(watch.stores.control, watch.account_id)[0]
    assert row.status.value == 95
    kept: Any = watch.sync.hgetall(keys.readings(watch.account_id))
    assert list(kept) == [f"{condition.id}:{row.group.sha256}".encode()]
    assert msgspec.msgpack.decode(kept[f"{condition.id}:{row.group.sha256}".encode()]) == [97.0, ms(20)]


def test_open_pages_hear_of_it(watch: Watch) -> None:
    condition = watch.condition()
    watch.send({5: 95})
    with watch.sync.pubsub() as heard:
        heard.subscribe(keys.events_channel(watch.account_id))
        heard.get_message(timeout=5)
        watch.judge(12)
        message = heard.get_message(timeout=5)
    assert message
    assert msgspec.json.decode(message["data"]) == {"type": "status", "condition": str(condition.id), "state": "firing"}


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


def replace_every(rule: MetricRule, every_s: int) -> MetricRule:
    return msgspec.structs.replace(rule, every_s=every_s, window_s=every_s)


def replace_query(rule: MetricRule, query: Query, **change: Any) -> MetricRule:
    return msgspec.structs.replace(rule, query=query, **change)


def test_what_is_recorded_is_owed_in_the_same_breath(watch: Watch) -> None:
    watch.condition()
    watch.send({5: 95, 15: 10})
    watch.judge(12)
    watch.judge(22)
    with reading(watch.stores.control) as conn:
        owed = conn.execute(select(tables.deliveries).order_by(tables.deliveries.c.stream_version)).mappings().all()
    assert [(one["kind"], one["stream_version"], one["state"], one["reason"]) for one in owed] == [
        ("firing", 1, "withheld", "no channel to tell"),
        ("resolved", 2, "withheld", "nobody was told that it fired"),
    ]
    assert owed[0]["facts"]["labels"] == {"node": "web-1"}


def test_a_condition_arms_a_capture_of_its_node(watch: Watch) -> None:
    watch.condition(Spec(CPU, capture=Capture("firing", 2)))
    watch.send({5: 95})
    watch.judge(12)
    found = recordings.list_for(watch.stores.control, watch.account_id, "web-1")
    assert [(one.metrics, one.every_ms, one.note, one.started_by) for one in found] == [
        (["cpu"], 1_000, "CPU firing", "system")
    ]
    assert watch.sync.get(keys.recording(watch.account_id, "web-1")) == str(found[0].id).encode()
    assert watch.sync.hlen(keys.live_viewers(watch.account_id, "web-1")) == 1
    with reading(watch.stores.control) as conn:
        facts = conn.scalar(select(tables.deliveries.c.facts))
    assert facts
    assert facts["recording"].endswith(f"/recordings/{found[0].id}")


def test_catching_up_captures_nothing_that_is_past(watch: Watch) -> None:
    watch.condition(Spec(CPU, capture=Capture("firing", 2)))
    watch.send({5: 95})
    watch.judge(300)
    assert recordings.list_for(watch.stores.control, watch.account_id, "web-1") == []


def said(watch: Watch, second: float, state: Level, name: str = "backup") -> None:
    """web-1 reports."""

    async def work(client: redis.asyncio.Redis) -> None:
        told = [Said(name, state)]
        await reporting.report(watch.stores.control, client, watch.account_id, "web-1", told, at(second))

    watch.run(work)


def test_a_report_is_recorded_at_once_and_what_it_is_held_for_by_the_clock(watch: Watch) -> None:
    said(watch, 0, "ok")
    (condition,) = conditions.list_for(watch.stores.control, watch.account_id)
    held = msgspec.structs.replace(condition.spec, hold_s=20, keep_firing_s=10)
    conditions.change(watch.stores.control, watch.account_id, condition.id, "backup", held, at(0), actor=ME)
    said(watch, 5, "critical")
    for second in (12, 22, 32):
        watch.judge(second)
    said(watch, 33, "ok")
    for second in (42, 52):
        watch.judge(second)
    assert watch.story() == [(5, "web-1", "pending"), (30, "web-1", "firing"), (50, "web-1", "ok")]


def test_a_report_that_is_not_repeated_is_missed(watch: Watch) -> None:
    said(watch, 0, "ok")
    (condition,) = conditions.list_for(watch.stores.control, watch.account_id)
    soon = msgspec.structs.replace(condition.spec, no_data_after_s=60)
    conditions.change(watch.stores.control, watch.account_id, condition.id, "backup", soon, at(0), actor=ME)
    watch.hear(-600, 200)
    for second in (12, 62, 72):
        watch.judge(second)
    assert watch.story() == [(70, "web-1", "no_data")]
    said(watch, 75, "ok")
    watch.judge(82)
    assert watch.story()[1:] == [(80, "web-1", "ok")]


def test_reports_that_redis_lost_leave_what_is_recorded(watch: Watch) -> None:
    said(watch, 0, "critical")
    watch.sync.flushall()
    watch.hear(-600, 200)
    watch.judge(200)
    assert watch.story() == [(0, "web-1", "firing")]
    said(watch, 205, "critical")
    said(watch, 210, "ok")
    assert watch.story()[1:] == [(210, "web-1", "ok")]


def test_what_is_not_reported_for_a_day_is_judged_no_longer(watch: Watch) -> None:
    day = 86_400
    watch.hear(-3_600, 20)
    said(watch, 0, "critical")
    watch.judge(12)
    with watch.stores.control.begin() as conn:  # as if it had been judged all day
        late = {"evaluated_to": at(day), "due_at": at(day + 12)}
        conn.execute(tables.watermarks.update().values(late))
    watch.hear(-3_600, day + 20)
    watch.judge(day + 12)
    watch.judge(day + 22)
    assert [state for _, _, state in watch.story()] == ["firing", "no_data", "ended"]
