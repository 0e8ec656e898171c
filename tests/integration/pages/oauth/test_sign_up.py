"""Who may become a user: anybody, the invited, nobody."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.pages.oauth.door import Door, ids, invite, sign_in, with_providers
from tests.integration.pages.site import HTML, Site, serving
from tests.oauth_server import Person


@pytest.fixture(scope="module")
def invited(site: Site, opened: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = with_providers(site.settings, opened.provider, tmp_path_factory.mktemp("invited"), sign_up="invited")
    with serving(settings) as app:
        yield Door(Site(settings.base_url, app, settings, site.control), opened.provider)


def test_who_is_invited_registers_and_goes_on_to_the_invitation(door: Door, invited: Door) -> None:
    path = invite(door)
    with invited.browser() as browser:
        way_in = browser.get(path).headers["location"]
        assert "You have been invited" in browser.get(way_in).text
        answer = sign_in(browser, next=path)
        assert (answer.status_code, answer.headers["location"]) == (303, path)


@pytest.mark.parametrize("after", ["/nodes", "/invite/", "/invite/wrong", "/invite/" + "a" * 16 + "_" + "b" * 43])
def test_who_is_not_invited_does_not_register(door: Door, invited: Door, after: str) -> None:
    with invited.browser() as browser:
        answer = sign_in(browser, next=after)
        assert answer.status_code == 403 and "need an invitation" in answer.text
        assert "metrist_session" not in browser.cookies


def test_who_is_known_needs_no_invitation(door: Door, invited: Door) -> None:
    with door.browser() as browser:
        sign_in(browser)
    with invited.browser() as browser:
        assert sign_in(browser).status_code == 303


def test_closed_to_new_people_is_closed(door: Door, site: Site, tmp_path: Path) -> None:
    path = invite(door)
    with door.browser() as browser:
        sign_in(browser)
    settings = with_providers(site.settings, door.provider, tmp_path, sign_up="closed")
    with serving(settings) as app:
        closed = Site(settings.base_url, app, settings, site.control)
        with closed.client(**HTML) as browser:
            assert sign_in(browser).status_code == 303
        door.provider.person = Person(next(ids), "new")
        with closed.client(**HTML) as browser:
            answer = sign_in(browser, next=path)
            assert answer.status_code == 403 and "nobody can register" in answer.text
