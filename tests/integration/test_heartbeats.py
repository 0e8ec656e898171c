"""Contacts in Redis: what a ping and a snapshot leave there, on a real server."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
import redis
import redis.asyncio

from domain.errors import StoreUnavailable
from domain.ids import AccountId
from domain.liveness import Hearing
from schema import hearing, heartbeats, keys
from schema.heartbeats import UNKNOWN_INTERVAL_MS, Beat, Contact, Expected, Farewell, Judged
from tests.valkey_server import Calls, Valkey

HOME = AccountId(UUID(int=1))
NOW = 1_800_000_000_000
ASKED = Expected(10_000, 3)


class Contacts(Calls):
    """The calls of schema.heartbeats and schema.hearing, as an API process makes them, and what they leave behind."""

    def beat(self, now_ms: int, node: str = "web-1", **said: Any) -> Beat:
        return self.run(lambda client: heartbeats.beat(client, HOME, node, now_ms, ASKED, **said))

    def touch(self, now_ms: int, *names: str, instance: str = "") -> list[str]:
        return self.run(lambda client: heartbeats.touch(client, HOME, names, now_ms, ASKED, instance=instance))

    def sign(self, now_ms: int, *, is_first: bool = False) -> int:
        return self.run(lambda client: hearing.sign(client, now_ms, is_first=is_first))

    def contact(self, node: str = "web-1") -> Contact:
        return heartbeats.read_contacts_sync(self.sync, HOME, [node])[node]

    def due(self, node: str = "web-1") -> float | None:
        due: float | None = self.sync.zscore(keys.deadlines(HOME), node)
        return due

    def settle(self, node: str, seen_ms: int | None, due_ms: int | None, state: str = "online") -> int:
        judged = Judged(node, seen_ms, state, due_ms, seen_ms or NOW, 10_000)
        return heartbeats.settle(self.sync, HOME, [judged], NOW)


@pytest.fixture
def store(valkey: Valkey, redis_sync: redis.Redis) -> Contacts:
    return Contacts(valkey, redis_sync)


def test_a_first_ping_is_new_and_due_at_once(store: Contacts) -> None:
    assert store.beat(NOW) == Beat(is_new=True, clash_ms=0, commands=[], settled=[], is_first=True)
    assert store.contact() == Contact(last=NOW, interval=10_000, pinged=True)
    assert store.due() == NOW


def test_a_ping_of_a_node_that_is_online_puts_its_deadline_off(store: Contacts) -> None:
    store.beat(NOW)
    store.settle("web-1", NOW, NOW + 30_000)
    assert not store.beat(NOW + 8_000).is_new
    assert store.due() == NOW + 38_000


@pytest.mark.parametrize("state", ["late", "offline", "deregistered"])
def test_a_ping_of_a_silent_node_is_due_at_once(store: Contacts, state: str) -> None:
    store.beat(NOW)
    store.settle("web-1", NOW, NOW + 30_000, state)
    store.beat(NOW + 8_000)
    assert store.due() == NOW + 8_000


def test_snapshots_touch_all_their_nodes(store: Contacts) -> None:
    store.beat(NOW, "web-1")
    store.settle("web-1", NOW, NOW + 30_000)
    assert store.touch(NOW + 1_000, "web-1", "web-2", "web-3") == ["web-2", "web-3"]
    assert [store.contact(name).last for name in ("web-1", "web-2", "web-3")] == [NOW + 1_000] * 3
    assert store.contact("web-1").pinged
    assert not store.contact("web-2").pinged


def test_who_only_sends_snapshots_is_expected_at_its_own_cadence(store: Contacts) -> None:
    store.touch(NOW, "web-1")
    assert store.contact().interval == UNKNOWN_INTERVAL_MS, "of one contact no cadence is known"
    now = NOW
    for _ in range(20):
        now += 60_000
        store.touch(now, "web-1")
    assert store.contact().interval == 60_000
    store.touch(now + 1_000, "web-1")
    assert store.contact().interval == 54_000, "one quick repetition says little"
    store.touch(now + 86_400_000, "web-1")
    assert store.contact().interval == 300_000, "a day of silence is no cadence"


def test_a_ping_sets_the_cadence_for_good(store: Contacts) -> None:
    store.touch(NOW, "web-1")
    store.touch(NOW + 60_000, "web-1")
    store.beat(NOW + 61_000)
    store.touch(NOW + 200_000, "web-1")
    assert store.contact().interval == 10_000


@pytest.mark.parametrize(("sent_ms", "skew"), [(NOW + 90_000, 90_000), (NOW - 5, -5), (NOW, 0), (None, None)])
def test_the_agents_clock_is_compared_with_ours(store: Contacts, sent_ms: int | None, skew: int | None) -> None:
    store.beat(NOW, sent_ms=sent_ms)
    assert (store.contact().skew, store.contact().last) == (skew, NOW)


def test_the_skew_stays_when_a_ping_tells_no_time(store: Contacts) -> None:
    store.beat(NOW, sent_ms=NOW + 7)
    store.beat(NOW + 10_000)
    assert store.contact().skew == 7


def test_a_slow_request_does_not_make_a_clock_look_behind(store: Contacts) -> None:
    ways_ms = [20, 3_000, 15, 40, 9_000]
    for n, way_ms in enumerate(ways_ms):
        now = NOW + n * 10_000
        store.beat(now, sent_ms=now + 240_000 - way_ms)
    assert store.contact().skew == 240_000 - 15


def test_a_clock_that_is_set_right_is_believed_after_a_few_pings(store: Contacts) -> None:
    for n in range(12):
        now = NOW + n * 10_000
        store.beat(now, sent_ms=now + (3_600_000 if n < 6 else 0))
    assert store.contact().skew == 0


def test_a_goodbye_is_noted_until_the_next_contact_and_leases_nothing(store: Contacts) -> None:
    store.beat(NOW)
    store.settle("web-1", NOW, NOW + 30_000)
    store.beat(NOW + 1_000, farewell=Farewell("restart", 60_000))
    contact = store.contact()
    assert (contact.bye, contact.away, contact.back_by_ms(NOW + 2_000)) == ("restart", 60_000, NOW + 61_000)
    assert contact.back_by_ms(NOW + 61_000) is None
    assert store.due() == NOW + 1_000, "the sweep has something to record"
    store.touch(NOW + 5_000, "web-1")
    assert (store.contact().bye, store.contact().away) == ("", 0)
    store.touch(NOW + 5_500, "web-1")
    assert store.due() == NOW + 5_500, "and its end, too, however soon the next contact comes"
    store.settle("web-1", NOW + 5_500, NOW + 35_500)
    store.touch(NOW + 6_000, "web-1")
    assert store.due() == NOW + 6_000 + 3 * store.contact().interval


def test_what_the_sweep_knows_of_a_node_comes_with_its_pings(store: Contacts) -> None:
    assert store.beat(NOW).is_first
    again = store.beat(NOW + 1_000)
    assert (again.is_first, again.is_new, again.node_id) == (False, True, "")
    judged = Judged("web-1", NOW + 1_000, "online", NOW + 31_000, NOW + 1_000, 10_000, "a1b2")
    heartbeats.settle(store.sync, HOME, [judged], NOW + 1_000)
    settled = store.beat(NOW + 2_000)
    assert (settled.is_new, settled.node_id) == (False, "a1b2")
    store.run(lambda client: heartbeats.forget(client, HOME, "web-1"))
    assert store.beat(NOW + 3_000).is_first


def test_a_presumed_contact_is_not_shown(store: Contacts) -> None:
    judged = Judged("web-1", None, "online", NOW + 30_000, NOW, 10_000, is_presumed=True)
    heartbeats.settle(store.sync, HOME, [judged], NOW)
    assert store.run(lambda client: heartbeats.read_last_contact(client, HOME, ["web-1"])) == {}
    store.beat(NOW + 1_000)
    assert not store.contact().presumed


@pytest.mark.parametrize(("skew_ms", "shown"), [(None, None), (5_000, None), (5_001, 5.001), (-240_000, -240.0)])
def test_a_clock_far_from_ours_is_shown(skew_ms: int | None, shown: float | None) -> None:
    assert Contact(last=NOW, skew=skew_ms).skew_s() == shown


def test_a_clash_is_shown_until_it_has_stopped_for_a_while() -> None:
    assert not Contact(last=NOW).clashes(NOW)
    assert Contact(last=NOW, clash=NOW).clashes(NOW + 599_999)
    assert not Contact(last=NOW, clash=NOW).clashes(NOW + 600_000)


def test_a_new_installation_is_no_clash(store: Contacts) -> None:
    store.beat(NOW, instance="i1")
    assert store.beat(NOW + 10_000, instance="i2").clash_ms == 0
    assert store.beat(NOW + 20_000, instance="i2").clash_ms == 0
    contact = store.contact()
    assert (contact.instance, contact.other, contact.other_last) == ("i2", "i1", NOW)


def test_two_instances_taking_turns_are_a_clash(store: Contacts) -> None:
    store.beat(NOW, instance="i1")
    store.beat(NOW + 10_000, instance="i2")
    assert store.beat(NOW + 20_000, instance="i1").clash_ms == NOW + 20_000
    assert store.beat(NOW + 30_000, instance="i2").clash_ms == NOW + 30_000
    assert store.beat(NOW + 40_000, instance="i2").clash_ms == NOW + 30_000


def test_a_restart_is_no_clash_and_its_snapshots_are_its_own(store: Contacts) -> None:
    for n, run in enumerate(("r1", "r2", "r3")):
        store.beat(NOW + n * 20_000, instance="i1", run=run)
        store.touch(NOW + n * 20_000 + 5_000, "web-1", instance="i1")
        assert store.beat(NOW + n * 20_000 + 10_000, instance="i1", run=run).clash_ms == 0


def test_a_clone_with_the_same_instance_is_a_clash(store: Contacts) -> None:
    store.beat(NOW, instance="i1", run="r1")
    store.touch(NOW + 1_000, "web-1", instance="i1")
    store.beat(NOW + 5_000, instance="i1", run="r2")
    assert store.beat(NOW + 10_000, instance="i1", run="r1").clash_ms == NOW + 10_000


def test_a_machine_that_is_put_back_much_later_is_no_clash(store: Contacts) -> None:
    store.beat(NOW, instance="i1")
    store.beat(NOW + 10_000, instance="i2")
    assert store.beat(NOW + 200_000, instance="i1").clash_ms == 0


def test_a_contact_without_an_instance_says_nothing(store: Contacts) -> None:
    store.beat(NOW, instance="i1")
    store.touch(NOW + 1_000, "web-1")
    assert store.beat(NOW + 10_000, instance="i1").clash_ms == 0
    assert store.contact().other == ""


def test_scripts_are_sent_again_when_redis_has_forgotten_them(store: Contacts) -> None:
    store.beat(NOW)
    store.sync.script_flush()
    store.beat(NOW + 1)
    store.sync.script_flush()
    assert store.touch(NOW + 2, "web-1") == ["web-1"]
    store.sync.script_flush()
    store.settle("web-1", NOW + 2, NOW + 30_000)
    assert (store.contact().last, store.contact().state) == (NOW + 2, "online")


def test_due_nodes_come_the_longest_overdue_first(store: Contacts) -> None:
    stranger = AccountId(uuid4())
    for after, name in enumerate(["c", "a", "b", "d"]):
        store.beat(NOW + after, name)
    assert heartbeats.due(store.sync, [stranger, HOME], NOW + 2, 10) == {HOME: ["c", "a", "b"]}
    assert heartbeats.due(store.sync, [HOME], NOW + 9, 2) == {HOME: ["c", "a"]}
    assert heartbeats.due(store.sync, [], NOW + 9, 2) == {}


def test_a_contact_since_the_judgement_is_kept(store: Contacts) -> None:
    store.beat(NOW)
    assert store.settle("web-1", NOW - 1, None, "deregistered") == 1
    assert (store.contact().last, store.contact().state, store.due()) == (NOW, "deregistered", NOW)


def test_a_record_lost_since_the_judgement_is_not_made_up(store: Contacts) -> None:
    assert store.settle("web-1", NOW, NOW + 30_000) == 0
    assert heartbeats.read_contacts_sync(store.sync, HOME, ["web-1"]) == {}


def test_names_of_any_script_are_kept_apart(store: Contacts) -> None:
    for name in ("a:b", "a/b", "{b}", "ü"):
        store.beat(NOW, name)
        assert store.contact(name).last == NOW


def test_redis_away_is_one_error() -> None:
    away = redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0", socket_connect_timeout=1)

    async def ping() -> None:
        async with away:
            await heartbeats.beat(away, HOME, "web-1", NOW, ASKED)

    with pytest.raises(StoreUnavailable):
        asyncio.run(ping())


def test_signs_without_a_break_are_no_outage(store: Contacts) -> None:
    assert store.sign(NOW, is_first=True) == NOW
    for after in (2_000, 4_500, 9_400):
        assert store.sign(NOW + after) == NOW
    assert hearing.read(store.sync) == Hearing(NOW + 9_400, NOW, [])


def test_a_gap_is_an_outage(store: Contacts) -> None:
    store.sign(NOW, is_first=True)
    assert store.sign(NOW + 5_001) == NOW + 5_001
    store.sign(NOW + 7_000)
    assert store.sign(NOW + 99_000) == NOW + 99_000
    outages = [(NOW, NOW + 5_001), (NOW + 7_000, NOW + 99_000)]
    assert hearing.read(store.sync) == Hearing(NOW + 99_000, NOW + 99_000, outages)


def test_a_start_begins_hearing_anew(store: Contacts) -> None:
    store.sign(NOW, is_first=True)
    assert store.sign(NOW + 1_000, is_first=True) == NOW + 1_000, "agents reconnect, though we were not away for long"
    assert hearing.read(store.sync) == Hearing(NOW + 1_000, NOW + 1_000, [])
    store.sign(NOW + 3_501, is_first=True)
    assert hearing.read(store.sync) == Hearing(NOW + 3_501, NOW + 3_501, [(NOW + 1_000, NOW + 3_501)])


def test_a_clock_that_is_set_back_leaves_no_outage_to_come(store: Contacts) -> None:
    store.sign(NOW, is_first=True)
    store.sign(NOW + 60_000)
    assert store.sign(NOW - 3_600_000) == NOW - 3_600_000
    assert hearing.read(store.sync) == Hearing(NOW - 3_600_000, NOW - 3_600_000, [])


def test_old_outages_are_forgotten(store: Contacts) -> None:
    store.sign(NOW, is_first=True)
    store.sign(NOW + 60_000)
    store.sign(NOW + hearing.KEEP_MS + 60_000)
    known = hearing.read(store.sync)
    assert known is not None
    assert known.outages == [(NOW + 60_000, NOW + hearing.KEEP_MS + 60_000)]


def test_nobody_has_said_yet_that_we_hear(store: Contacts) -> None:
    assert hearing.read(store.sync) is None
