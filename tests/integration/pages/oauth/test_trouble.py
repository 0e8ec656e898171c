"""A provider that declines, fails or is slow is explained; nothing secret is logged."""

import logging
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards import providers
from tests.integration.pages.oauth.door import Door, agree, leave, sign_in
from tests.integration.pages.site import HTML, Site
from tests.oauth_server import CLIENT_SECRET


def test_declining_is_explained_and_can_be_repeated(door: Door) -> None:
    door.provider.denies = True
    with door.browser() as browser:
        answer = sign_in(browser, next="/help/agent")
        assert answer.status_code == 403 and "declined" in answer.text
        assert 'action="/sign-in/github"' in answer.text and 'value="/help/agent"' in answer.text
        door.provider.denies = False
        assert sign_in(browser).status_code == 303


BROKEN = [
    ("github", "/login/oauth/access_token"),
    ("github", "/api/v3/user"),
    ("oidc", "/token"),
]


@pytest.mark.parametrize(("provider", "path"), BROKEN)
def test_a_provider_that_fails_is_explained(door: Door, provider: str, path: str) -> None:
    door.provider.fails = {path}
    with door.browser() as browser:
        answer = sign_in(browser, provider)
    assert answer.status_code == 502 and "did not answer as it should" in answer.text


def test_a_slow_provider_is_given_up(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(providers, "WITHIN_S", 0.3)
    door.provider.slow_s = 2.0
    with door.browser() as browser:
        answer = sign_in(browser)
    assert answer.status_code == 502 and answer.elapsed < timedelta(seconds=1.5)


def test_nothing_secret_is_logged(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    door.provider.fails = {"/api/v3/user"}
    with door.browser() as browser:
        url = leave(browser)
        callback = agree(url)
        browser.get(callback)
    query = parse_qs(urlsplit(callback).query)
    ours = [record.getMessage() for record in caplog.records if not record.name.startswith(QUIETED)]
    for secret in (CLIENT_SECRET, query["code"][0], query["state"][0], *door.provider.tokens):
        assert secret not in "\n".join(ours)


QUIETED = ("authlib", "httpx", "httpcore")
"""metrist/logs.py lets these say nothing below a warning."""


def test_a_provider_that_is_not_set_up_is_not_offered(site: Site) -> None:
    with site.client(**HTML) as browser:
        page = browser.get("/sign-in").text
        assert "Continue with" not in page and "metrist user sign-in" in page
        assert browser.post("/sign-in/github").status_code == 404
        assert browser.get("/sign-in/github/callback").status_code == 404
