"""Silent nodes move on and come back, each move an event; through restarts, outages and a Redis that lost all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
import redis
import redis.asyncio
from sqlalchemy import Engine

from domain.commands import Kind
from domain.events import Event
from domain.ids import AccountId
from domain.nodes import NodeState
from domain.settings import Settings
from schema import accounts, commands, events, hearing, heartbeats, keys, nodes
from schema.control.engine import reading
from schema.heartbeats import Contact, Expected
from tests.valkey_server import Valkey
from workers.sweep import reconcile, sweep_liveness

START = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATE_S, OFFLINE_S, DEREGISTERED_S, GRACE_S = 30, 100, 14_400, 60
LONG_AGO_S = -3_600


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def ms(seconds: float) -> int:
    return int(at(seconds).timestamp() * 1000)


class Fleet:
    """One account's nodes and the two processes around them, with a clock that the test turns."""

    def __init__(self, control: Engine, client: redis.Redis, url: str) -> None:
        self.control = control
        self.redis = client
        self.settings = Settings(_env_file=None)
        self.account_id = accounts.create(control, "home", None, at(LONG_AGO_S)).id
        self._url = url

    def beat(
        self, seconds: float, *names: str, account_id: AccountId | None = None, skew_ms: int | None = None
    ) -> list[Kind]:
        """These nodes ping; returns what they were told."""
        account_id = account_id or self.account_id
        asked = Expected(self.settings.ping_interval_s * 1000, self.settings.late_after_pings)
        sent_ms = None if skew_ms is None else ms(seconds) + skew_ms

        async def work() -> list[Kind]:
            async with redis.asyncio.Redis.from_url(self._url) as client:
                told = []
                for name in names:
                    beat = await heartbeats.beat(client, account_id, name, ms(seconds), asked, sent_ms=sent_ms)
                    told += [command.kind for command in beat.commands]
                    if beat.is_new:
                        nodes.register(self.control, account_id, name, None, at(seconds))
                return told

        return asyncio.run(work())

    def touch(self, seconds: float, *names: str, instance: str = "") -> None:
        """These nodes send snapshots; nobody registers them."""
        asked = Expected(self.settings.ping_interval_s * 1000, self.settings.late_after_pings)

        async def work() -> None:
            async with redis.asyncio.Redis.from_url(self._url) as client:
                await heartbeats.touch(client, self.account_id, names, ms(seconds), asked, instance=instance)

        asyncio.run(work())

    def hear(self, from_s: float, to_s: float, *, is_first: bool = False) -> None:
        """A process takes pings all that time, and says so; with `is_first` it has just started."""

        async def work() -> None:
            async with redis.asyncio.Redis.from_url(self._url) as client:
                await hearing.sign(client, ms(from_s), is_first=is_first)
                for second in range(int(from_s) + 2, int(to_s) + 1, 2):
                    await hearing.sign(client, ms(second))
                await hearing.sign(client, ms(to_s))

        asyncio.run(work())

    def sweep(self, seconds: float) -> int:
        return sweep_liveness(self.control, self.redis, self.settings, at(seconds))

    def run(self, from_s: float, to_s: float, every_s: int = 2) -> None:
        """Take pings and sweep all that time, but no node pings."""
        self.hear(from_s, from_s)
        for second in range(int(from_s), int(to_s) + 1, every_s):
            self.hear(second, second)
            self.sweep(second)

    def state(self, name: str, account_id: AccountId | None = None) -> NodeState:
        node = nodes.find(self.control, account_id or self.account_id, name)
        assert node is not None
        return node.state

    def history(self, name: str) -> list[Event]:
        node = nodes.find(self.control, self.account_id, name)
        assert node is not None
        with reading(self.control) as conn:
            return events.read(conn, f"node/{node.id}")

    def told(self, name: str) -> list[tuple[str, str]]:
        """Each event's type and cause."""
        return [(event.type, event.payload["cause"]) for event in self.history(name)]

    def contact(self, name: str) -> Contact | None:
        return heartbeats.read_contacts_sync(self.redis, self.account_id, [name]).get(name)

    def due_s(self, name: str) -> float | None:
        score = self.redis.zscore(keys.deadlines(self.account_id), name)
        return None if score is None else score / 1000 - START.timestamp()


def hear_on(fleet: Fleet, seconds: float) -> None:
    """As if signs had come until then, without sending thousands."""
    fleet.redis.hset(keys.HEARING, "at", ms(seconds))


@pytest.fixture
def fleet(sqlite_control: Engine, redis_sync: redis.Redis, valkey: Valkey) -> Fleet:
    """A platform that has taken pings for an hour."""
    fleet = Fleet(sqlite_control, redis_sync, valkey.url)
    fleet.hear(LONG_AGO_S, 0, is_first=True)
    return fleet


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
        hear_on(fleet, seconds)
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
    fleet.run(0, silent_s)
    assert fleet.state("web-1") != NodeState.ONLINE
    fleet.beat(silent_s + 1, "web-1")
    fleet.sweep(silent_s + 1)
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.told("web-1")[-1] == ("node_online", "contact")
    assert fleet.due_s("web-1") == silent_s + 1 + LATE_S


def test_moves_are_told_to_open_pages(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    with fleet.redis.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.events_channel(fleet.account_id))
        channel.get_message(timeout=2)
        hear_on(fleet, LATE_S)
        fleet.sweep(LATE_S)
        message = channel.get_message(timeout=2)
    assert message is not None
    assert json.loads(message["data"]) == {"type": "node_late", "node": "web-1", "at": at(LATE_S).timestamp()}


def test_a_deregistered_node_that_returns_is_told_so(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    hear_on(fleet, DEREGISTERED_S)
    fleet.sweep(DEREGISTERED_S)
    assert fleet.beat(DEREGISTERED_S + 60, "web-1") == [Kind.DEREGISTER]
    assert fleet.state("web-1") == NodeState.ONLINE


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
    fleet.run(down_s, down_s + 10)
    fleet.beat(down_s + 10, "web-1")
    fleet.run(down_s + 10, down_s + 19)
    fleet.beat(down_s + 19, "web-2")
    fleet.run(down_s + 19, down_s + 29)
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
        fleet.run(now_s + 8, now_s + 12)
        now_s += 12
        assert fleet.state("web-1") == NodeState.ONLINE
        assert fleet.due_s("dead") is not None
    assert fleet.told("web-1") == [("node_registered", "contact")]
    fleet.hear(now_s, now_s)
    for second in range(now_s, now_s + GRACE_S + 2, 2):
        fleet.beat(second, "web-1")
        fleet.run(second, second)
    assert (fleet.state("web-1"), fleet.state("dead")) == (NodeState.ONLINE, NodeState.OFFLINE)


def test_who_died_while_we_were_away_is_found_after_the_grace(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    back_s = 3_600
    fleet.hear(back_s, back_s, is_first=True)
    fleet.run(back_s, back_s + GRACE_S - 1)
    assert fleet.state("web-1") == NodeState.ONLINE
    fleet.run(back_s + GRACE_S - 1, back_s + GRACE_S + 2)
    assert fleet.state("web-1") == NodeState.LATE
    fleet.run(back_s + GRACE_S + 2, back_s + OFFLINE_S + 2)
    assert fleet.state("web-1") == NodeState.OFFLINE


def test_our_outage_is_not_their_silence(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.hear(0, 20)
    back_s = 20 + DEREGISTERED_S
    fleet.hear(back_s, back_s, is_first=True)
    fleet.run(back_s, back_s + GRACE_S)
    # 20 s before and 60 s after the outage are late, and not yet offline, let alone deregistered.
    assert fleet.state("web-1") == NodeState.LATE
    fleet.run(back_s + GRACE_S, back_s + OFFLINE_S - 20)
    assert fleet.state("web-1") == NodeState.OFFLINE


def test_what_redis_lost_is_restored_and_the_dead_are_found(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "dead", "late")
    fleet.sweep(0)
    fleet.beat(20, "web-1", "dead")
    fleet.run(0, 36)
    assert fleet.state("late") == NodeState.LATE
    fleet.redis.flushall()
    assert fleet.sweep(40) == 0
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(40)) == 0, "nobody has said yet that we hear"
    fleet.hear(42, 42)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(42)) == 3
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(43)) == 0
    assert {name: fleet.due_s(name) for name in ("dead", "late")} == {"dead": 72, "late": 112}
    for second in range(44, 146, 2):
        fleet.beat(second, "web-1")
        fleet.run(second, second)
    assert [fleet.state(name) for name in ("web-1", "dead", "late")] == [
        NodeState.ONLINE,
        NodeState.OFFLINE,
        NodeState.OFFLINE,
    ]


def test_reconciling_keeps_what_is_known(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    before = fleet.contact("web-1"), fleet.due_s("web-1")
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(5)) == 0
    assert (fleet.contact("web-1"), fleet.due_s("web-1")) == before


def test_a_lost_deadline_is_restored_from_the_contact(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "due")
    fleet.sweep(0)
    fleet.beat(9, "web-1")
    fleet.redis.delete(keys.deadlines(fleet.account_id))
    hear_on(fleet, LATE_S)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(LATE_S)) == 2
    assert (fleet.due_s("web-1"), fleet.due_s("due")) == (9 + LATE_S, LATE_S)
    assert fleet.sweep(LATE_S) == 1
    assert (fleet.state("web-1"), fleet.state("due")) == (NodeState.ONLINE, NodeState.LATE)


def test_a_move_that_redis_forgot_is_settled_again(fleet: Fleet) -> None:
    """Redis came back from before the settling: a node that is late would be thought online, and not be looked at."""
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    before = fleet.redis.dump(keys.nodes(fleet.account_id))
    hear_on(fleet, LATE_S)
    fleet.sweep(LATE_S)
    fleet.redis.restore(keys.nodes(fleet.account_id), 0, before, replace=True)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(LATE_S + 1)) == 1
    contact = fleet.contact("web-1")
    assert contact is not None
    assert (contact.state, contact.last) == ("late", ms(0))
    fleet.beat(LATE_S + 2, "web-1")
    fleet.sweep(LATE_S + 2)
    assert fleet.state("web-1") == NodeState.ONLINE


def test_contacts_from_before_our_clock_was_set_back_are_forgotten(fleet: Fleet) -> None:
    fleet.beat(3_600, "web-1")
    fleet.hear(0, 0, is_first=True)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(0)) == 1
    assert fleet.due_s("web-1") == LATE_S
    fleet.run(0, GRACE_S + 2)
    assert fleet.state("web-1") == NodeState.LATE


def test_a_contact_between_judging_and_settling_wins(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    fleet.hear(0, LATE_S)
    settle = heartbeats.settle

    def heard_before(*args: object) -> int:
        fleet.beat(LATE_S, "web-1")
        return settle(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(heartbeats, "settle", heard_before)
    fleet.sweep(LATE_S)
    monkeypatch.undo()
    contact = fleet.contact("web-1")
    assert contact is not None
    assert (contact.last, contact.state) == (ms(LATE_S), "late")
    assert fleet.due_s("web-1") == LATE_S
    assert fleet.sweep(LATE_S) == 1
    assert fleet.state("web-1") == NodeState.ONLINE


def test_a_contact_that_undoes_a_deregistration_at_once(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    hear_on(fleet, DEREGISTERED_S)
    settle = heartbeats.settle

    def heard_before(*args: object) -> int:
        fleet.beat(DEREGISTERED_S, "web-1")
        return settle(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(heartbeats, "settle", heard_before)
    fleet.sweep(DEREGISTERED_S)
    monkeypatch.undo()
    fleet.sweep(DEREGISTERED_S)
    assert fleet.state("web-1") == NodeState.ONLINE
    assert fleet.due_s("web-1") == DEREGISTERED_S + LATE_S


def test_a_node_whose_contact_came_without_the_control_db_is_registered(fleet: Fleet) -> None:
    fleet.touch(0, "web-1", instance="i1")
    fleet.sweep(1)
    node = nodes.find(fleet.control, fleet.account_id, "web-1")
    assert node is not None
    assert (node.state, node.instance_id) == (NodeState.ONLINE, "i1")
    assert fleet.due_s("web-1") == LATE_S


def test_a_deadline_of_a_node_that_nobody_knows_is_dropped(fleet: Fleet) -> None:
    fleet.redis.zadd(keys.deadlines(fleet.account_id), {"ghost": ms(0)})
    assert fleet.sweep(1) == 0
    assert fleet.due_s("ghost") is None


def test_a_thousand_nodes_are_due_at_once(fleet: Fleet) -> None:
    names = [f"node-{number:04}" for number in range(1_000)]
    nodes.register_many(fleet.control, fleet.account_id, names, at(0))
    fleet.touch(0, *names)
    fleet.sweep(0)
    fleet.hear(0, LATE_S)
    assert fleet.sweep(LATE_S) == 1_000
    assert {node.state for node in nodes.list_for(fleet.control, fleet.account_id)} == {NodeState.LATE}
    assert fleet.sweep(LATE_S) == 0


def test_accounts_are_apart(fleet: Fleet) -> None:
    stranger = accounts.create(fleet.control, "stranger", None, at(0)).id
    fleet.beat(0, "web-1")
    fleet.beat(0, "web-1", account_id=stranger)
    fleet.run(0, 20)
    fleet.beat(20, "web-1", account_id=stranger)
    fleet.run(20, LATE_S + 2)
    assert (fleet.state("web-1"), fleet.state("web-1", stranger)) == (NodeState.LATE, NodeState.ONLINE)
    hear_on(fleet, DEREGISTERED_S)
    fleet.beat(DEREGISTERED_S, "web-1", account_id=stranger)
    fleet.sweep(DEREGISTERED_S)
    assert (fleet.state("web-1"), fleet.state("web-1", stranger)) == (NodeState.DEREGISTERED, NodeState.ONLINE)
    assert fleet.beat(DEREGISTERED_S + 1, "web-1", account_id=stranger) == []


def test_a_sweep_cut_short_by_redis_is_taken_up_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    hear_on(fleet, DEREGISTERED_S)

    def away(*_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(commands, "issue_sync", away)
    with pytest.raises(redis.ConnectionError):
        fleet.sweep(DEREGISTERED_S)
    monkeypatch.undo()
    assert fleet.state("web-1") == NodeState.DEREGISTERED
    assert fleet.sweep(DEREGISTERED_S) == 0
    assert fleet.contact("web-1") is None


def test_a_deadline_that_redis_lost_alone_is_put_back(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.sweep(0)
    fleet.redis.delete(keys.deadlines(fleet.account_id))
    fleet.hear(0, 10)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(10)) == 1
    assert fleet.due_s("web-1") == LATE_S


def test_a_move_that_redis_never_heard_of_is_not_for_ever(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.beat(0, "web-1")
    fleet.run(0, 20)
    monkeypatch.setattr(heartbeats, "settle", lambda *_: 0)  # Redis died before it was settled
    fleet.hear(20, LATE_S)
    fleet.sweep(LATE_S)
    monkeypatch.undo()
    fleet.beat(LATE_S + 1, "web-1")  # Redis takes it for online and puts its deadline off
    assert fleet.sweep(LATE_S + 2) == 0
    assert fleet.state("web-1") == NodeState.LATE
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(LATE_S + 2)) == 1
    assert fleet.sweep(LATE_S + 2) == 1
    assert fleet.state("web-1") == NodeState.ONLINE


def test_our_clock_set_forward_demotes_nobody(fleet: Fleet) -> None:
    fleet.beat(0, "web-1")
    fleet.run(0, 4)
    fleet.run(3_604, 3_608)
    fleet.beat(3_608, "web-1")
    fleet.run(3_608, 3_636)
    assert fleet.told("web-1") == [("node_registered", "contact")]


def test_our_clock_set_back_demotes_nobody_and_the_dead_are_found(fleet: Fleet) -> None:
    fleet.beat(0, "web-1", "dead", "offline")
    fleet.run(0, 4)
    fleet.beat(104, "web-1", "dead")
    fleet.hear(4, 104)
    fleet.sweep(104)
    assert fleet.state("offline") == NodeState.OFFLINE
    back_s = 104 - 3_600
    fleet.hear(back_s, back_s)
    assert reconcile(fleet.control, fleet.redis, fleet.settings, at(back_s)) == 3
    for second in range(back_s, back_s + 120, 10):
        fleet.beat(second, "web-1")
        fleet.run(second, second + 8)
    assert [fleet.state(name) for name in ("web-1", "dead", "offline")] == [
        NodeState.ONLINE,
        NodeState.OFFLINE,
        NodeState.OFFLINE,
    ]
    assert len(fleet.history("web-1")) == 1
