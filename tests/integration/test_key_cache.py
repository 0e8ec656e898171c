"""What an API process remembers of keys: never longer than it may, also when a revoke crosses a read."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine

from api import auth
from api.auth import KeyCache
from domain.ids import AccountId, KeyId
from schema import accounts, api_keys
from schema.api_keys import NewKey, StoredKey

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def account_id(sqlite_control: Engine) -> AccountId:
    return accounts.create(sqlite_control, "home", None, NOW).id


@pytest.fixture
def key(sqlite_control: Engine, account_id: AccountId) -> NewKey:
    return api_keys.create(sqlite_control, account_id, "agent", ["ingest"], NOW)


def is_revoked(stored: StoredKey | None) -> bool:
    assert stored is not None
    return stored.revoked_at is not None


def test_a_key_ends_when_its_revoke_is_heard(sqlite_control: Engine, key: NewKey) -> None:
    async def scenario() -> list[bool]:
        cache = KeyCache(sqlite_control)
        seen = [is_revoked(await cache.find(key.id))]
        api_keys.revoke(sqlite_control, key.account_id, key.id, NOW)
        seen.append(is_revoked(await cache.find(key.id)))  # not heard yet: remembered
        cache.end(key.id)
        return [*seen, is_revoked(await cache.find(key.id))]

    assert asyncio.run(scenario()) == [False, False, True]


def test_a_key_ends_by_itself_when_nobody_tells(
    sqlite_control: Engine, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auth, "_FRESH_S", 0.2)

    async def scenario() -> bool:
        cache = KeyCache(sqlite_control)
        await cache.find(key.id)
        api_keys.revoke(sqlite_control, key.account_id, key.id, NOW)
        await asyncio.sleep(0.3)
        return is_revoked(await cache.find(key.id))

    assert asyncio.run(scenario())


def test_a_read_that_a_revoke_has_crossed_is_not_believed(
    sqlite_control: Engine, key: NewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It saw the key before it was revoked, and comes back after that was heard."""
    found = api_keys.find_by_public_id

    def slowly(engine: Engine, key_id: KeyId) -> StoredKey | None:
        stored = found(engine, key_id)
        time.sleep(0.2)
        return stored

    monkeypatch.setattr(api_keys, "find_by_public_id", slowly)

    async def scenario() -> list[bool]:
        cache = KeyCache(sqlite_control)
        waiting = [asyncio.create_task(cache.find(key.id)) for _ in range(2)]
        await asyncio.sleep(0.1)
        api_keys.revoke(sqlite_control, key.account_id, key.id, NOW)
        cache.end(key.id)
        return [is_revoked(await each) for each in waiting] + [is_revoked(await cache.find(key.id))]

    assert asyncio.run(scenario()) == [True, True, True]


def test_other_keys_stay_known(sqlite_control: Engine, key: NewKey, monkeypatch: pytest.MonkeyPatch) -> None:
    other = api_keys.create(sqlite_control, key.account_id, "other", ["ingest"], NOW)
    reads: list[KeyId] = []
    found = api_keys.find_by_public_id
    monkeypatch.setattr(
        api_keys, "find_by_public_id", lambda engine, key_id: reads.append(key_id) or found(engine, key_id)
    )

    async def scenario() -> None:
        cache = KeyCache(sqlite_control)
        for each in (key.id, other.id):
            await cache.find(each)
        cache.end(key.id)
        cache.end(KeyId("0" * 16))
        assert not is_revoked(await cache.find(other.id))

    asyncio.run(scenario())
    assert reads == [key.id, other.id]
