"""Who is signed in connects and disconnects ways to sign in."""

from schema import identities, users
from tests.integration.pages.oauth.door import Door, agree, connect, ids, leave, sign_in
from tests.integration.pages.site import new_link, new_tenant
from tests.oauth_server import Person


def test_who_is_signed_in_connects_an_identity(door: Door) -> None:
    tenant = new_tenant(door.site, f"link-{next(ids)}")
    owner = users.find_by_email(door.site.control, tenant.email)
    assert owner
    with door.browser(tenant.session) as browser:
        answer = connect(browser)
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings/you")
        assert connect(browser).status_code == 303  # once more changes nothing
    with door.browser() as elsewhere:
        sign_in(elsewhere)
        found = door.user_of(elsewhere)
        assert found and found.user_id == owner.id
    assert len(identities.list_for(door.site.control, owner.id)) == 1


def test_an_identity_of_somebody_else_is_not_taken(door: Door) -> None:
    with door.browser() as browser:
        sign_in(browser)
    tenant = new_tenant(door.site, f"thief-{next(ids)}")
    with door.browser(tenant.session) as browser:
        answer = connect(browser)
        assert answer.status_code == 409 and "somebody else" in answer.text and 'href="/settings/you"' in answer.text


def test_a_second_identity_of_one_provider_is_refused(door: Door) -> None:
    tenant = new_tenant(door.site, f"second-{next(ids)}")
    with door.browser(tenant.session) as browser:
        connect(browser)
        door.provider.person = Person(next(ids), "another")
        answer = connect(browser)
        assert answer.status_code == 409 and "disconnect that first" in answer.text


def test_connecting_needs_a_session_from_its_beginning_to_its_end(door: Door) -> None:
    one, other = (new_tenant(door.site, f"switch-{next(ids)}") for _ in range(2))
    with door.browser() as stranger:
        assert stranger.post("/sign-in/github", data={"connect": "true"}).headers["location"] == "/sign-in"
    with door.browser(one.session) as browser:
        callback = agree(leave(browser, connect="true"))
        browser.cookies.delete("metrist_session")
        assert browser.get(callback).headers["location"] == "/sign-in"
    with door.browser(one.session) as browser:
        callback = agree(leave(browser, connect="true"))
        browser.cookies.delete("metrist_session")
        browser.post("/sign-in", data={"token": new_link(door.site, other.email)})
        assert browser.get(callback).status_code == 400


def test_the_last_way_in_stays_unless_there_is_an_address(door: Door) -> None:
    door.provider.person.is_verified = False
    with door.browser() as browser:
        sign_in(browser)
        assert browser.post("/settings/you/disconnect", data={"provider": "github"}).status_code == 403
        assert browser.post("/settings/you/disconnect", data={"provider": "oidc"}).status_code == 404
        connect(browser, "oidc")
        assert browser.post("/settings/you/disconnect", data={"provider": "github"}).status_code == 303
        assert browser.post("/settings/you/disconnect", data={"provider": "oidc"}).status_code == 403
    door.provider.person = Person(next(ids), "with-address", "Ada", f"{next(ids)}@example.org")
    with door.browser() as browser:
        sign_in(browser)
        assert browser.post("/settings/you/disconnect", data={"provider": "github"}).status_code == 303
        foreign = browser.post(
            "/settings/you/disconnect", data={"provider": "github"}, headers={"sec-fetch-site": "cross-site"}
        )
        assert foreign.status_code == 403


def test_a_disconnected_identity_can_be_connected_again(door: Door) -> None:
    tenant = new_tenant(door.site, f"again-{next(ids)}")
    with door.browser(tenant.session) as browser:
        for _ in range(2):
            assert connect(browser).status_code == 303
            assert browser.post("/settings/you/disconnect", data={"provider": "github"}).status_code == 303
        door.provider.person.login = "renamed-meanwhile"
        assert connect(browser).status_code == 303
