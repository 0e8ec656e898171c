"""Signing in makes a person once, finds them later, and takes nobody for somebody else."""

from datetime import UTC, datetime

import pytest

from domain.accounts import Role
from schema import accounts, identities, sessions, users
from tests.integration.pages.oauth.door import Door, agree, ids, leave, sign_in, types_of
from tests.integration.pages.site import new_tenant
from tests.oauth_server import Person
from tests.racing import race


@pytest.mark.parametrize("provider", ["github", "oidc"])
def test_the_first_sign_in_makes_a_user_with_an_account_of_their_own(door: Door, provider: str) -> None:
    with door.browser() as browser:
        answer = sign_in(browser, provider)
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
        user = door.user_of(browser)
        assert user and (user.name, user.email) == ("Ada Lovelace", door.provider.person.email)
        (account,) = accounts.list_of(door.site.control, user.user_id)
        assert account.name == "Ada Lovelace"
        assert "Ada Lovelace" in browser.get("/settings/account").text
    (identity,) = identities.list_for(door.site.control, user.user_id)
    assert (identity.provider, identity.login) == (provider, door.provider.person.login)
    viewer = sessions.find(door.site.control, browser.cookies["metrist_session"], datetime.now(UTC))
    assert viewer and viewer.role == Role.OWNER


@pytest.mark.parametrize("provider", ["github", "oidc"])
def test_later_sign_ins_find_the_user(door: Door, provider: str) -> None:
    found = []
    for _ in range(2):
        with door.browser() as browser:
            sign_in(browser, provider)
            found.append(door.user_of(browser))
    assert found[0] and found[0] == found[1]
    assert types_of(door, f"user/{found[0].user_id}") == ["user_created"]


def test_a_changed_login_is_noted_and_makes_nobody_else(door: Door) -> None:
    with door.browser() as browser:
        sign_in(browser)
        before = door.user_of(browser)
        assert before
        door.provider.person.login, door.provider.person.name = "countess", "Somebody Else"
        door.provider.person.email = "new@example.org"
        sign_in(browser)
        assert door.user_of(browser) == before
        sign_in(browser)
    (identity,) = identities.list_for(door.site.control, before.user_id)
    assert identity.login == "countess"
    assert types_of(door, identity.stream) == ["identity_linked", "identity_renamed"]


def test_whoever_takes_over_a_login_is_somebody_else(door: Door) -> None:
    people = []
    for number in (next(ids), next(ids)):
        door.provider.person = Person(number, "taken-over", "Ada", "same@example.org")
        with door.browser() as browser:
            sign_in(browser)
            people.append(door.user_of(browser))
    first, second = people
    assert first and second and first.user_id != second.user_id
    assert (first.email, second.email) == ("same@example.org", None)


def test_an_address_is_never_enough_to_be_somebody(door: Door) -> None:
    tenant = new_tenant(door.site, f"victim-{next(ids)}")
    door.provider.person.email = tenant.email
    with door.browser() as browser:
        sign_in(browser)
        user = door.user_of(browser)
    victim = users.find_by_email(door.site.control, tenant.email)
    assert user and victim and user.user_id != victim.id and user.email is None


@pytest.mark.parametrize("provider", ["github", "oidc"])
def test_an_address_that_is_not_verified_is_not_kept(door: Door, provider: str) -> None:
    door.provider.person.is_verified = False
    with door.browser() as browser:
        sign_in(browser, provider)
        user = door.user_of(browser)
    assert user and user.email is None


def test_github_may_keep_addresses_and_names_to_itself(door: Door) -> None:
    door.provider.person.name = None
    door.provider.fails = {"/api/v3/user/emails"}
    with door.browser() as browser:
        assert sign_in(browser).status_code == 502  # a failure is no refusal
    door.provider.fails = set()
    door.provider.hides_emails = True
    try:
        with door.browser() as browser:
            sign_in(browser)
            user = door.user_of(browser)
    finally:
        door.provider.hides_emails = False
    assert user and (user.name, user.email) == (None, None)
    assert accounts.list_of(door.site.control, user.user_id)[0].name == door.provider.person.login


def test_what_is_not_in_the_id_token_is_asked_for(door: Door) -> None:
    door.provider.claims = {"email": None, "email_verified": None, "name": None, "preferred_username": None}
    with door.browser() as browser:
        sign_in(browser, "oidc")
        user = door.user_of(browser)
    assert user and (user.name, user.email) == ("Ada Lovelace", door.provider.person.email)


def test_two_first_sign_ins_at_once_make_one_user(door: Door) -> None:
    browsers = [door.browser() for _ in range(4)]
    callbacks = [agree(leave(browser)) for browser in browsers]
    answers = race(4, lambda number: browsers[number].get(callbacks[number]))
    assert [getattr(answer, "status_code", answer) for answer in answers] == [303] * 4
    found = {user.user_id for user in map(door.user_of, browsers) if user}
    assert len(found) == 1
    assert len(accounts.list_of(door.site.control, found.pop())) == 1
    for browser in browsers:
        browser.close()
