"""Recordings: an event each, and as long as one runs Redis says so."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import redis
from sqlalchemy import Engine

from domain.errors import InvalidBody, NotFound
from domain.ids import AccountId
from domain.live import LiveSnapshot, Wish
from schema import accounts, live, recordings
from schema.live import Message
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


def test_it_belongs_to_its_account(control: Engine, home: AccountId) -> None:
    begun = begin(control, home)
    other = accounts.create(control, "other", None, NOW).id
    with pytest.raises(NotFound):
        recordings.find(control, other, begun.id)
    with pytest.raises(NotFound):
        recordings.stop(control, other, begun.id, NOW, actor="user/y")
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
