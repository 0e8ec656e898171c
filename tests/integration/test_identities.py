"""Who signs in as whom, and the server's own secrets, on both databases and under races."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, func, select

from domain.errors import Forbidden, IdentityTaken, NotFound, SignUpClosed
from domain.identities import Profile, profile
from domain.ids import UserId
from schema import accounts, events, identities, rebuild, server_secrets, users
from schema.control.engine import reading
from schema.control.tables import metadata
from tests.racing import race

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ADA = Profile("github", "https://github.com", "1001", "ada", "Ada Lovelace", "ada@example.org")


def enter(control: Engine, who: Profile = ADA, now: datetime = NOW) -> UserId:
    return identities.enter(control, who, now, may_register=True)


def count(control: Engine, table: str) -> int:
    with reading(control) as conn:
        return conn.scalar(select(func.count()).select_from(metadata.tables[table])) or 0


def test_the_first_entrance_makes_all_at_once(control: Engine) -> None:
    user_id = enter(control)
    (account,) = accounts.list_of(control, user_id)
    (identity,) = identities.list_for(control, user_id)
    assert (account.name, identity.login, identity.linked_at) == ("Ada Lovelace", "ada", NOW)
    assert enter(control, now=NOW + timedelta(days=1)) == user_id
    assert count(control, "events") == 4


def test_several_first_entrances_at_once_make_one_user(control: Engine) -> None:
    outcomes = race(4, lambda _: enter(control))
    assert len(set(outcomes)) == 1 and not isinstance(outcomes[0], BaseException)
    assert (count(control, "users"), count(control, "accounts"), count(control, "identities")) == (1, 1, 1)


def test_who_may_not_register_leaves_nothing(control: Engine) -> None:
    with pytest.raises(SignUpClosed):
        identities.enter(control, ADA, NOW, may_register=False)
    assert count(control, "events") == 0
    user_id = enter(control)
    assert identities.enter(control, ADA, NOW, may_register=False) == user_id


@pytest.mark.parametrize(
    "other",
    [
        Profile("github", "https://github.com", "1002", "ada"),
        Profile("github", "https://github.example", "1001", "ada"),
        Profile("oidc", "https://github.com", "1001", "ada"),
    ],
    ids=["another id", "another server", "another provider"],
)
def test_one_login_may_be_of_several_people(control: Engine, other: Profile) -> None:
    assert enter(control) != enter(control, other)


def test_an_identity_is_linked_by_one_of_two_who_try(control: Engine) -> None:
    people = [enter(control, Profile("oidc", "https://id.example", str(n), f"user-{n}")) for n in range(2)]
    outcomes = race(2, lambda number: identities.link(control, people[number], ADA, NOW))
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["IdentityTaken", "NoneType"]


def test_links_come_and_go_but_the_last_stays(control: Engine) -> None:
    work = Profile("oidc", "https://id.example", "a", "ada@work")
    user_id = enter(control, Profile("github", "https://github.com", "1", "ada"))
    with pytest.raises(Forbidden):
        identities.unlink(control, user_id, "github", NOW)
    identities.link(control, user_id, work, NOW)
    identities.unlink(control, user_id, "github", NOW)
    with pytest.raises(NotFound):
        identities.unlink(control, user_id, "github", NOW)
    with pytest.raises(IdentityTaken):
        identities.link(control, user_id, Profile("oidc", "https://id.example", "b", "eve"), NOW)
    assert [identity.login for identity in identities.list_for(control, user_id)] == ["ada@work"]


def test_an_address_keeps_the_door_open(control: Engine) -> None:
    user_id = enter(control)
    identities.unlink(control, user_id, "github", NOW)
    assert identities.list_for(control, user_id) == []
    assert enter(control) != user_id  # nobody is found by their address


def test_a_taken_address_is_left_to_whoever_has_it(control: Engine) -> None:
    events.retrying(control, lambda conn: users.find_or_create(conn, "ada@example.org", NOW))
    enter(control)
    assert count(control, "users") == 2


def test_identities_are_folded_again_alike(control: Engine) -> None:
    user_id = enter(control)
    enter(control, Profile("github", "https://github.com", "1001", "countess"))
    before = identities.list_for(control, user_id)
    rebuild.rebuild(control)
    assert identities.list_for(control, user_id) == before


STRANGE = [
    ("plain", ("ada", "Ada", "Ada@Example.org"), ("ada", "Ada", "ada@example.org")),
    ("nothing", (None, None, None), ("1001", None, None)),
    ("blank", (" ", "\n", ""), ("1001", None, None)),
    ("control characters", ("a\x00da", "A\u202eda\x1b[31m", "no address"), ("ada", "Ada[31m", None)),
    ("endless", ("x" * 500, "y " * 500, "z" * 300 + "@example.org"), ("x" * 100, ("y " * 50).strip(), None)),
]


@pytest.mark.parametrize(("told", "kept"), [case[1:] for case in STRANGE], ids=[case[0] for case in STRANGE])
def test_what_a_provider_tells_is_made_fit(
    sqlite_control: Engine, told: tuple[str | None, ...], kept: tuple[str | None, ...]
) -> None:
    who = profile("oidc", "https://id.example", "1001", *told)
    assert (who.login, who.name, who.email) == kept
    enter(sqlite_control, who)


def test_a_secret_is_made_once_and_the_same_for_all(control: Engine) -> None:
    made = race(4, lambda _: server_secrets.get_or_create(control, "sign-in", NOW))
    assert len(set(made)) == 1
    secret = made[0]
    assert isinstance(secret, bytes) and len(secret) == 32
    assert server_secrets.get_or_create(control, "sign-in", NOW) == secret
    assert server_secrets.get_or_create(control, "other", NOW) != secret
