"""Keys as their account's people see them, and how many there may be, on both databases."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from domain.errors import LimitReached
from domain.ids import AccountId
from schema import accounts, api_keys, events, users
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def account_id(control: Engine) -> AccountId:
    return accounts.create(control, "home", "owner@example.org", NOW).id


def test_a_key_says_who_made_it(control: Engine, account_id: AccountId) -> None:
    owner = users.find_by_email(control, "owner@example.org")
    assert owner is not None
    for name, actor in (("hers", f"user/{owner.id}"), ("the operator's", "system")):
        api_keys.create(control, account_id, name, ["ingest"], NOW, actor=actor)
    made_by = {key.name: key.made_by for key in api_keys.list_for(control, account_id)}
    assert made_by == {"hers": "owner@example.org", "the operator's": None}


def test_an_account_has_only_so_many_keys_that_work(
    control: Engine, account_id: AccountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "ACTIVE_MAX", 3)
    made = [api_keys.create(control, account_id, f"key {n}", ["ingest"], NOW) for n in range(3)]
    with pytest.raises(LimitReached, match="revoke one"):
        api_keys.create(control, account_id, "one more", ["ingest"], NOW)
    stranger = accounts.create(control, "stranger", None, NOW).id
    api_keys.create(control, stranger, "theirs", ["ingest"], NOW)
    api_keys.revoke(control, account_id, made[0].id, NOW + timedelta(days=1))
    api_keys.create(control, account_id, "one more", ["ingest"], NOW)


def test_keys_made_at_once_do_not_pass_the_limit(
    control: Engine, account_id: AccountId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_keys, "ACTIVE_MAX", 2)
    outcomes = race(5, lambda n: api_keys.create(control, account_id, f"key {n}", ["ingest"], NOW))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["LimitReached"] * 3 + ["NewKey"] * 2


def test_the_log_knows_who_made_and_revoked_a_key(control: Engine, account_id: AccountId) -> None:
    key = api_keys.create(control, account_id, "laptop", ["ingest"], NOW, actor="user/a")
    api_keys.revoke(control, account_id, key.id, NOW, actor="user/b")
    with control.begin() as conn:
        history = events.read(conn, f"key/{key.id}")
    assert [(event.type, event.actor, event.account_id) for event in history] == [
        ("key_created", "user/a", account_id),
        ("key_revoked", "user/b", account_id),
    ]
