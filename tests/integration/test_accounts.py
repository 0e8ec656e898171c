"""Accounts, their people and their keys, on both databases."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import Engine, select

from domain import keys
from domain.accounts import Role
from domain.errors import Forbidden, InvalidBody, NotFound
from domain.ids import AccountId, KeyId, UserId
from domain.keys import Scope
from schema import accounts, api_keys, events, memberships, users
from schema.accounts import First
from schema.control.engine import reading
from schema.control.tables import metadata
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ME = "user/me"


@pytest.fixture
def account_id(control: Engine) -> AccountId:
    return accounts.create(control, "home", "owner@example.org", NOW).id


def user(control: Engine, email: str) -> UserId:
    return events.retrying(control, lambda conn: users.find_or_create(conn, email, NOW)).id


def test_an_account_is_made_with_its_owner(control: Engine) -> None:
    account = accounts.create(control, "  my\n home ", "Owner@Example.org", NOW)
    assert accounts.find(control, account.id) == account
    assert (account.name, account.created_at) == ("my home", NOW)
    (owner,) = memberships.list_for(control, account.id)
    assert (owner.email, owner.role) == ("owner@example.org", Role.OWNER)
    assert users.find_by_email(control, "OWNER@example.org") == accounts.first_owner(control)


def test_one_owner_may_have_several_accounts_of_one_name(control: Engine) -> None:
    made = [accounts.create(control, "home", "a@example.org", NOW + timedelta(days=day)) for day in range(3)]
    owner = users.find_by_email(control, "a@example.org")
    assert owner is not None
    assert accounts.named(control, "home") == accounts.list_all(control) == accounts.list_of(control, owner.id) == made


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "a\x00b", "a\x1bb"])
def test_names_that_people_could_not_read_are_refused(control: Engine, name: str) -> None:
    with pytest.raises(InvalidBody):
        accounts.create(control, name, None, NOW)
    assert accounts.list_all(control) == []


@pytest.mark.parametrize("email", ["", "@", "a@", "@b", "no at", "a b@example.org", "a@" + "b" * 254])
def test_addresses_that_are_none_are_refused_and_nothing_is_made(control: Engine, email: str) -> None:
    with pytest.raises(InvalidBody):
        accounts.create(control, "home", email, NOW)
    assert accounts.list_all(control) == []


def test_an_account_is_renamed(control: Engine, account_id: AccountId) -> None:
    renamed = accounts.rename(control, account_id, "work", NOW, actor=ME)
    assert accounts.find(control, account_id) == renamed == accounts.rename(control, account_id, "work", NOW, actor=ME)
    assert (renamed.name, renamed.version) == ("work", 2)


def test_many_renames_at_once_all_happen(control: Engine, account_id: AccountId) -> None:
    race(8, lambda n: accounts.rename(control, account_id, f"name {n}", NOW, actor=ME))
    account = accounts.find(control, account_id)
    assert account is not None
    assert account.version == 9


def test_what_is_not_there_is_not_found(control: Engine) -> None:
    nobody = AccountId(uuid4())
    assert accounts.find(control, nobody) is None
    assert accounts.first_owner(control) is None
    with pytest.raises(NotFound):
        accounts.rename(control, nobody, "x", NOW, actor=ME)
    with pytest.raises(NotFound):
        api_keys.create(control, nobody, "x", ["read"], NOW)


def test_the_first_start_makes_an_account_once(control: Engine) -> None:
    (first,) = [made for made in race(6, lambda _: accounts.ensure_first(control, NOW)) if made is not None]
    assert isinstance(first, First)
    assert accounts.ensure_first(control, NOW) is None
    (account,) = accounts.list_all(control)
    (member,) = memberships.list_for(control, account.id)
    assert (account.id, account.name) == (first.account_id, "home")
    assert (member.user_id, member.email, member.role) == (first.user_id, "owner@localhost", Role.OWNER)
    stored = api_keys.find_by_public_id(control, first.key.id)
    assert stored is not None
    assert (stored.account_id, stored.scopes) == (account.id, frozenset({Scope.INGEST, Scope.READ}))
    assert keys.matches(first.key.secret, stored.secret_hash)


def test_an_account_made_by_hand_counts_as_the_first(control: Engine, account_id: AccountId) -> None:
    assert accounts.ensure_first(control, NOW) is None


def test_people_join_change_and_leave(control: Engine, account_id: AccountId) -> None:
    guest = user(control, "guest@example.org")
    steps = [Role.VIEWER, Role.VIEWER, Role.ADMIN]
    for role in steps:
        memberships.grant(control, account_id, guest, role, NOW, actor=ME)
    assert [member.role for member in memberships.list_for(control, account_id) if member.user_id == guest] == ["admin"]
    memberships.revoke(control, account_id, guest, NOW, actor=ME)
    assert guest not in {member.user_id for member in memberships.list_for(control, account_id)}
    memberships.grant(control, account_id, guest, Role.VIEWER, NOW, actor=ME)
    with reading(control) as conn:
        history = events.read(conn, f"membership/{account_id}/{guest}")
    assert [(event.version, event.type, event.payload["role"]) for event in history] == [
        (1, "membership_granted", "viewer"),
        (2, "membership_granted", "admin"),
        (3, "membership_revoked", "admin"),
        (4, "membership_granted", "viewer"),
    ]


def test_who_is_no_member_cannot_be_taken_out(control: Engine, account_id: AccountId) -> None:
    with pytest.raises(NotFound):
        memberships.revoke(control, account_id, UserId(uuid4()), NOW, actor=ME)


def test_the_last_owner_stays(control: Engine, account_id: AccountId) -> None:
    owner = user(control, "owner@example.org")
    with pytest.raises(Forbidden, match="at least one owner"):
        memberships.revoke(control, account_id, owner, NOW, actor=ME)
    with pytest.raises(Forbidden):
        memberships.grant(control, account_id, owner, Role.VIEWER, NOW, actor=ME)


def test_two_owners_cannot_remove_each_other_at_once(control: Engine, account_id: AccountId) -> None:
    owners = [user(control, "owner@example.org"), user(control, "other@example.org")]
    for _ in range(5):
        for owner in owners:
            memberships.grant(control, account_id, owner, Role.OWNER, NOW, actor=ME)
        outcomes = race(2, lambda n: memberships.revoke(control, account_id, owners[n], NOW, actor=ME))
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Forbidden", "NoneType"]


def test_one_person_who_signs_up_twice_at_once_is_one_user(control: Engine) -> None:
    assert len(set(race(6, lambda _: user(control, "new@example.org")))) == 1


def test_keys_are_listed_used_and_revoked(control: Engine, account_id: AccountId) -> None:
    first = api_keys.create(control, account_id, "laptop", ["ingest"], NOW)
    second = api_keys.create(control, account_id, "graphs", ["read", "ingest"], NOW + timedelta(days=1))
    assert api_keys.revoke(control, account_id, first.id, NOW + timedelta(days=2))
    assert not api_keys.revoke(control, account_id, first.id, NOW + timedelta(days=3))
    listed = api_keys.list_for(control, account_id)
    assert [(key.id, key.name, key.revoked_at) for key in listed] == [
        (first.id, "laptop", NOW + timedelta(days=2)),
        (second.id, "graphs", None),
    ]
    revoked = api_keys.find_by_public_id(control, first.id)
    assert revoked is not None
    assert revoked.revoked_at == NOW + timedelta(days=2)
    assert api_keys.find_by_public_id(control, KeyId("0" * 16)) is None


def test_the_last_use_is_written_once_a_minute(control: Engine, account_id: AccountId) -> None:
    key = api_keys.create(control, account_id, "laptop", ["ingest"], NOW)
    seen = []
    for second in (0, 59, 60, 61):
        api_keys.touch_last_used(control, account_id, key.id, NOW + timedelta(seconds=second))
        last = api_keys.list_for(control, account_id)[0].last_used_at
        assert last is not None
        seen.append((last - NOW).total_seconds())
    assert seen == [0, 0, 60, 60]


def test_the_first_uses_of_a_key_may_come_at_once(control: Engine, account_id: AccountId) -> None:
    key = api_keys.create(control, account_id, "laptop", ["ingest"], NOW)
    uses = race(6, lambda _: api_keys.touch_last_used(control, account_id, key.id, NOW))
    assert uses == [None] * 6


def test_an_account_does_not_reach_anothers_keys(control: Engine, account_id: AccountId) -> None:
    stranger = accounts.create(control, "stranger", None, NOW).id
    key = api_keys.create(control, account_id, "laptop", ["ingest"], NOW)
    with pytest.raises(NotFound):
        api_keys.revoke(control, stranger, key.id, NOW)
    api_keys.touch_last_used(control, stranger, key.id, NOW)
    assert api_keys.list_for(control, stranger) == []
    assert [(mine.revoked_at, mine.last_used_at) for mine in api_keys.list_for(control, account_id)] == [(None, None)]


def test_no_secret_is_anywhere_in_the_database(control: Engine) -> None:
    first = accounts.ensure_first(control, NOW)
    assert first is not None
    assert first.key.secret not in repr(first)
    secret = first.key.secret.rpartition(first.key.id)[2].strip("_")
    with reading(control) as conn:
        everything = "".join(str(row) for table in metadata.sorted_tables for row in conn.execute(select(table)))
    assert first.key.id in everything
    assert secret not in everything
