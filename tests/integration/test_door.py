"""The door log on a real Redis: bounded, apart for each account, and never in the way."""

import asyncio
import time
from collections.abc import Callable
from uuid import UUID

import pytest
import redis
import redis.asyncio

from api import door as api_door
from api.door import A_SECOND, Door
from domain.door import Entry, Outcome
from domain.errors import StoreUnavailable
from domain.ids import AccountId
from schema import door, keys
from tests.valkey_server import Calls, Valkey

OURS, THEIRS = AccountId(UUID(int=1)), AccountId(UUID(int=2))


@pytest.fixture
def calls(valkey: Valkey, redis_sync: redis.Redis) -> Calls:
    return Calls(valkey, redis_sync)


def entries(count: int, outcome: Outcome = "accepted", start: float = 0) -> list[Entry]:
    return [Entry(start + n, outcome, f"{outcome} {n}") for n in range(count)]


def test_entries_come_back_in_order_and_once(calls: Calls) -> None:
    refused, accepted = entries(2, "refused"), entries(2, start=0.5)
    calls.run(lambda client: door.write(client, [(OURS, entry) for entry in (*refused, *accepted)]))
    found, position = calls.run(lambda client: door.read(client, OURS))
    assert found == sorted([*refused, *accepted], key=lambda entry: entry.at)
    assert calls.run(lambda client: door.read(client, OURS, position)) == ([], position)
    late = Entry(9.0, "refused", "late")
    calls.run(lambda client: door.write(client, [(OURS, late)]))
    assert calls.run(lambda client: door.read(client, OURS, position))[0] == [late]


def test_an_account_hears_only_of_its_own(calls: Calls) -> None:
    calls.run(lambda client: door.write(client, [(THEIRS, entry) for entry in entries(3)]))
    assert calls.run(lambda client: door.read(client, OURS))[0] == []


def test_the_log_is_short_and_does_not_stay(calls: Calls) -> None:
    told = [(OURS, entry) for entry in (*entries(1, "refused"), *entries(door.KEPT + 30))]
    calls.run(lambda client: door.write(client, told))
    found, _ = calls.run(lambda client: door.read(client, OURS))
    assert [entry.outcome for entry in found].count("accepted") == door.KEPT
    assert "refused 0" in {entry.what for entry in found}, "what works has pushed out what does not"
    for outcome in ("accepted", "refused"):
        assert 0 < calls.sync.ttl(keys.door(OURS, outcome)) <= door.KEPT_S


def test_a_redis_that_is_away_says_so(own_valkey: Valkey) -> None:
    calls = Calls(own_valkey, own_valkey.client())
    own_valkey.kill()
    with pytest.raises(StoreUnavailable):
        calls.run(lambda client: door.write(client, [(OURS, entry) for entry in entries(1)]))
    with pytest.raises(StoreUnavailable):
        calls.run(lambda client: door.read(client, OURS))
    calls.sync.close()
    own_valkey.start()


@pytest.mark.parametrize("outcome", ["accepted", "refused"])
def test_what_comes_too_fast_is_counted(calls: Calls, outcome: Outcome) -> None:
    async def flood(client: redis.asyncio.Redis) -> list[Entry]:
        return await _after(client, lambda at_door: [_knock(at_door, outcome) for _ in range(400)])

    found = calls.run(flood)
    written, missed = [entry for entry in found if not entry.more], sum(entry.more for entry in found)
    assert (len(written), missed) == (A_SECOND[outcome], 400 - A_SECOND[outcome])


def test_one_account_does_not_use_up_the_other_s_notes(calls: Calls) -> None:
    async def flood(client: redis.asyncio.Redis) -> list[Entry]:
        def knock(at_door: Door) -> None:
            for _ in range(400):
                _knock(at_door, "refused", THEIRS)
            _knock(at_door, "refused", OURS)

        return await _after(client, knock)

    assert [entry.what for entry in calls.run(flood)] == ["knock"]


def test_a_redis_that_is_away_costs_entries_and_nothing_else(own_valkey: Valkey) -> None:
    async def scenario() -> list[Entry]:
        async with redis.asyncio.Redis.from_url(own_valkey.url, socket_connect_timeout=1) as client:
            at_door = Door(client)
            writing = asyncio.create_task(at_door.write_forever())
            own_valkey.kill()
            began_s = time.monotonic()
            _knock(at_door, "refused")
            assert time.monotonic() - began_s < 0.1
            await asyncio.sleep(0.5)
            await asyncio.to_thread(own_valkey.start)
            found: list[Entry] = []
            give_up_s = time.monotonic() + 10
            while not found and time.monotonic() < give_up_s:
                _knock(at_door, "refused")
                await asyncio.sleep(0.3)
                found, _ = await door.read(client, OURS)
            writing.cancel()
            return found

    assert asyncio.run(scenario())


def test_waiting_entries_are_bounded(calls: Calls) -> None:
    async def flood(client: redis.asyncio.Redis) -> int:
        at_door = Door(client)
        for n in range(api_door.WAITING_MAX + 100):
            _knock(at_door, "refused", AccountId(UUID(int=n)))
        return len(at_door._waiting)

    assert calls.run(flood) == api_door.WAITING_MAX


def _knock(at_door: Door, outcome: Outcome, account_id: AccountId = OURS) -> None:
    if at_door.opens(account_id, outcome):
        at_door.note(account_id, Entry(time.time(), outcome, "knock"))


async def _after(client: redis.asyncio.Redis, knock: Callable[[Door], object]) -> list[Entry]:
    """Our entries when all that came in a moment is written, or counted."""
    at_door = Door(client)
    writing = asyncio.create_task(at_door.write_forever())
    knock(at_door)
    await asyncio.sleep(1.8)
    writing.cancel()
    return (await door.read(client, OURS))[0]
