"""Leases of viewers in Redis: what an agent is asked follows from all of them together."""

from uuid import UUID

import pytest
import redis

from domain.errors import Overloaded
from domain.ids import AccountId
from domain.live import Ask, LiveSnapshot, Wish
from schema import keys, live
from schema.live import LEASE_MS, VIEWERS_MAX, Message
from tests.valkey_server import Calls, Valkey

HOME, AWAY = AccountId(UUID(int=1)), AccountId(UUID(int=2))
NOW = 1_800_000_000_000
SLOW = Wish("web-1", ("cpu.user", "mem.used"), 1_000)
FAST = Wish("web-1", ("load.1m",), 200)


class Viewers(Calls):
    """The calls of schema.live as an API process makes them."""

    def look(
        self, viewer: str, wish: Wish, now_ms: int = NOW, account_id: AccountId = HOME, lasts_ms: int = LEASE_MS
    ) -> Ask:
        return self.run(lambda client: live.look(client, account_id, viewer, wish, now_ms, lasts_ms))

    def leave(self, viewer: str, wish: Wish) -> None:
        self.run(lambda client: live.leave(client, HOME, viewer, wish, NOW))

    def asked(self, account_id: AccountId = HOME) -> Ask | None:
        return self.run(lambda client: live.asked(client, account_id, "web-1"))

    def publish(self, message: Message) -> Ask | None:
        return self.run(lambda client: live.publish(client, HOME, "web-1", message))


@pytest.fixture
def viewers(valkey: Valkey, redis_sync: redis.Redis) -> Viewers:
    return Viewers(valkey, redis_sync)


def test_what_is_asked_is_all_that_is_wished_for_as_fast_as_the_fastest(viewers: Viewers) -> None:
    alone = viewers.look("a", SLOW)
    assert (alone.metrics, alone.every_ms) == (["cpu.user", "mem.used"], 1_000)
    both = viewers.look("b", FAST)
    assert (both.metrics, both.every_ms) == (["cpu.user", "load.1m", "mem.used"], 200)
    assert both.id != alone.id
    viewers.leave("b", FAST)
    assert viewers.asked() == alone
    viewers.leave("a", SLOW)
    assert viewers.asked() is None


def test_two_who_look_at_the_same_are_one_ask(viewers: Viewers) -> None:
    assert viewers.look("a", SLOW) == viewers.look("b", SLOW)


def test_a_lease_that_is_not_renewed_counts_no_more(viewers: Viewers) -> None:
    viewers.look("killed", FAST)
    assert viewers.look("a", SLOW, NOW + LEASE_MS).every_ms == 1_000


def test_all_of_it_ends_by_itself(viewers: Viewers) -> None:
    viewers.look("a", SLOW)
    for key in (keys.live_viewers(HOME, "web-1"), keys.live_ask(HOME, "web-1")):
        assert 0 < viewers.sync.pttl(key) <= LEASE_MS


def test_what_is_asked_lasts_as_long_as_the_longest_lease(viewers: Viewers) -> None:
    viewers.look("a", SLOW, lasts_ms=60_000)
    viewers.look("b", FAST, NOW + 1_000)
    assert LEASE_MS < viewers.sync.pttl(keys.live_ask(HOME, "web-1")) <= 59_000
    viewers.leave("a", SLOW)
    assert 0 < viewers.sync.pttl(keys.live_ask(HOME, "web-1")) <= LEASE_MS + 1_000
    assert viewers.asked() == viewers.look("b", FAST)


def test_a_held_ping_is_woken_when_what_is_asked_changes_and_only_then(viewers: Viewers) -> None:
    with viewers.sync.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.WAKE)
        channel.get_message(timeout=5)
        for viewer, wish in (("a", SLOW), ("a", SLOW), ("b", SLOW), ("b", FAST)):
            viewers.look(viewer, wish)
        heard = [channel.get_message(timeout=1) for _ in range(3)]
    assert [message["data"] if message else None for message in heard] == [f"{HOME} web-1".encode()] * 2 + [None]


def test_there_is_an_end_to_how_many_look(viewers: Viewers) -> None:
    for number in range(VIEWERS_MAX):
        viewers.look(str(number), SLOW)
    with pytest.raises(Overloaded):
        viewers.look("one more", SLOW)
    assert viewers.look("0", FAST).every_ms == 200, "one who looks already may change the wish"


def test_data_goes_to_the_account_s_own_channel_and_tells_what_is_asked(viewers: Viewers) -> None:
    message = Message(NOW, [LiveSnapshot(1.5, {"cpu.user": 2})])
    assert viewers.publish(message) == (None, False)
    asked = viewers.look("a", SLOW)
    with viewers.sync.pubsub(ignore_subscribe_messages=True) as channel:
        channel.subscribe(keys.live_channel(HOME, "web-1"), keys.live_channel(AWAY, "web-1"))
        for _ in range(2):
            channel.get_message(timeout=5)
        assert viewers.publish(message) == (asked, False)
        heard = channel.get_message(timeout=5)
        assert heard and heard["channel"] == keys.live_channel(HOME, "web-1").encode()
        assert live.decode(heard["data"]) == message
        assert channel.get_message(timeout=0.2) is None
    assert viewers.asked(AWAY) is None
