"""Recordings: an event each, and as long as one runs Redis says so."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from domain.errors import InvalidBody, NotFound
from domain.ids import AccountId
from domain.live import LiveSnapshot, Wish
from schema import accounts, keys, live, recordings
from schema.live import Message
from schema.rebuild import rebuild
from schema.recordings import LONGEST, Recording
from tests.valkey_server import Calls, Valkey

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
WISH = Wish("web-1", ("cpu.user",), 1_000)
FIVE = timedelta(minutes=5)


@pytest.fixture
def home(control: Engine) -> AccountId:
    return accounts.create(control, "home", "ada@example.org", NOW).id


def begin(control: Engine, home: AccountId, note: str = "", now: datetime = NOW) -> Recording:
    return recordings.start(control, home, WISH, FIVE, note, now, actor="user/x")


def test_it_is_found_again_as_it_began(control: Engine, home: AccountId) -> None:
    begun = begin(control, home, "  the\nslow deploy ")
    assert recordings.find(control, home, begun.id) == begun
    assert (begun.note, begun.ends_at - begun.started_at, begun.metrics) == ("the slow deploy", FIVE, ["cpu.user"])
    later = begin(control, home, now=NOW + timedelta(hours=1))
    assert [one.id for one in recordings.list_for(control, home, "web-1")] == [later.id, begun.id]


def test_stopping_ends_it_once(control: Engine, home: AccountId) -> None:
    begun = begin(control, home)
    minute = NOW + timedelta(minutes=1)
    assert recordings.stop(control, home, begun.id, minute, actor="user/x").ends_at == minute
    assert recordings.stop(control, home, begun.id, minute + FIVE, actor="user/x").ends_at == minute


def test_its_name_is_changed_and_it_is_taken_off_the_list(control: Engine, home: AccountId) -> None:
    begun = begin(control, home)
    renamed = recordings.rename(control, home, begun.id, " the slow\ndeploy ", NOW, actor="user/y")
    assert renamed.note == "the slow deploy"
    before = recordings.find(control, home, begun.id)
    assert recordings.rename(control, home, begun.id, "the slow deploy", NOW, actor="user/y") == before, "no event"
    assert recordings.delete(control, home, begun.id, NOW, actor="user/y").note == "the slow deploy"
    assert recordings.list_for(control, home) == []
    with pytest.raises(NotFound):
        recordings.delete(control, home, begun.id, NOW, actor="user/y")
    assert rebuild(control).is_identical


def test_those_of_all_nodes_are_listed_together(control: Engine, home: AccountId) -> None:
    begun = begin(control, home)
    elsewhere = Wish("web-2", ("cpu.user",), 1_000)
    later = recordings.start(control, home, elsewhere, FIVE, "", NOW + FIVE, actor="system")
    assert [one.id for one in recordings.list_for(control, home)] == [later.id, begun.id]
    assert recordings.called_by(control, [later]) == {"system": "Metrist"}
    assert [one.id for one in recordings.list_running(control, NOW + FIVE)] == [later.id]


def test_it_belongs_to_its_account(control: Engine, home: AccountId) -> None:
    begun = begin(control, home)
    other = accounts.create(control, "other", None, NOW).id
    with pytest.raises(NotFound):
        recordings.find(control, other, begun.id)
    with pytest.raises(NotFound):
        recordings.stop(control, other, begun.id, NOW, actor="user/y")
    with pytest.raises(NotFound):
        recordings.rename(control, other, begun.id, "mine", NOW, actor="user/y")
    with pytest.raises(NotFound):
        recordings.delete(control, other, begun.id, NOW, actor="user/y")
    assert recordings.list_for(control, other, "web-1") == []


@pytest.mark.parametrize("lasts", [timedelta(0), LONGEST + timedelta(seconds=1)])
def test_it_is_bounded(control: Engine, home: AccountId, lasts: timedelta) -> None:
    with pytest.raises(InvalidBody):
        recordings.start(control, home, WISH, lasts, "", NOW, actor="user/x")


def test_it_goes_with_its_account(control: Engine, home: AccountId) -> None:
    begin(control, home)
    accounts.delete(control, home, NOW, actor="user/x")
    assert recordings.list_for(control, home, "web-1") == []


def test_live_data_is_kept_while_it_runs_and_no_longer(valkey: Valkey, redis_sync: redis.Redis) -> None:
    calls = Calls(valkey, redis_sync)
    account_id = AccountId(uuid4())
    begun = Recording(uuid4(), account_id, "web-1", ["cpu.user"], 1_000, "", "user/x", NOW, NOW + FIVE, 1)
    message = Message(0, [LiveSnapshot(1.5, {"cpu.user": 2})])

    def publish() -> live.Published:
        return calls.run(lambda client: live.publish(client, account_id, "web-1", message))

    calls.run(lambda client: recordings.keep(client, begun, NOW))
    sent = publish()
    assert sent.is_recorded and sent.ask and sent.ask.metrics == ["cpu.user"], "asked for though nobody looks"
    calls.run(lambda client: recordings.let_go(client, begun, NOW))
    assert publish() == (None, False)


def test_one_that_redis_forgot_is_taken_up_again(valkey: Valkey, redis_sync: redis.Redis) -> None:
    calls = Calls(valkey, redis_sync)
    account_id = AccountId(uuid4())
    begun = Recording(uuid4(), account_id, "web-1", ["cpu.user"], 1_000, "", "user/x", NOW, NOW + FIVE, 1)
    calls.run(lambda client: recordings.keep(client, begun, NOW))
    assert not recordings.keep_on(redis_sync, begun, NOW), "nothing was lost"
    redis_sync.flushall()
    assert recordings.keep_on(redis_sync, begun, NOW + timedelta(minutes=1))
    message = Message(0, [LiveSnapshot(1.5, {"cpu.user": 2})])
    sent = calls.run(lambda client: live.publish(client, account_id, "web-1", message))
    assert sent.is_recorded and sent.ask and sent.ask.metrics == ["cpu.user"]
    assert 0 < redis_sync.pttl(keys.recording(account_id, "web-1")) <= 240_000, "and it ends when it should"
    redis_sync.flushall()
    assert not recordings.keep_on(redis_sync, begun, NOW + FIVE)
    assert redis_sync.dbsize() == 0, "one that is over stays so"
