"""Leaving for a provider and coming back: in several tabs, once, in the browser that left."""

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer
from pydantic import SecretStr

from dashboards import flows
from schema import sessions
from tests.integration.pages.oauth.door import Door, agree, leave, sign_in, with_providers
from tests.integration.pages.site import HTML, Site, serving


def test_signing_in_leads_to_what_was_asked_for(door: Door) -> None:
    with door.browser() as browser:
        page = browser.get("/sign-in", params={"next": "/help/agent?x=1"}).text
        assert 'name="next" value="/help/agent?x=1"' in page
        assert sign_in(browser, next="/help/agent?x=1").headers["location"] == "/help/agent?x=1"


@pytest.mark.parametrize("asked", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"])
def test_signing_in_leads_to_no_other_site(door: Door, asked: str) -> None:
    with door.browser() as browser:
        assert sign_in(browser, next=asked).headers["location"] == "/nodes"


def test_the_session_a_browser_had_ends(door: Door) -> None:
    with door.browser() as browser:
        sign_in(browser)
        old = browser.cookies["metrist_session"]
        sign_in(browser)
        assert browser.cookies["metrist_session"] != old
    assert sessions.find_person(door.site.control, old, datetime.now(UTC)) is None


def test_two_tabs_at_once_both_work(door: Door) -> None:
    with door.browser() as browser:
        first, second = leave(browser, next="/help/agent"), leave(browser)
        other = leave(browser, "oidc")
        answers = [browser.get(agree(url)) for url in (second, other, first)]
    assert [answer.headers.get("location") for answer in answers] == ["/nodes", "/nodes", "/help/agent"]


def test_a_heap_of_tabs_is_bounded(door: Door) -> None:
    with door.browser() as browser:
        urls = [leave(browser) for _ in range(flows.AT_ONCE + 3)]
        kept = [name for name in browser.cookies if name.startswith(flows.COOKIE)]
        assert len(kept) == flows.AT_ONCE
        assert browser.get(agree(urls[0])).status_code == 400
        assert browser.get(agree(urls[-1])).status_code == 303


def test_a_flow_of_another_browser_is_refused(door: Door) -> None:
    """Login CSRF: the attacker begins, and has the victim finish."""
    with door.browser() as attacker, door.browser() as victim:
        callback = agree(leave(attacker))
        leave(victim)
        answer = victim.get(callback)
        assert answer.status_code == 400 and "cannot be finished" in answer.text
        assert "metrist_session" not in victim.cookies
        assert "/login/oauth/access_token" not in door.provider.asked


BENT: list[tuple[str, Callable[[str], str]]] = [
    ("another state", lambda callback: re.sub("state=[^&]+", "state=foreign", callback)),
    ("no state", lambda callback: re.sub("&?state=[^&]+", "", callback)),
    ("another provider's callback", lambda callback: callback.replace("/github/", "/oidc/")),
    ("no code", lambda callback: re.sub("code=[^&]+&?", "", callback)),
]


@pytest.mark.parametrize("bend", [case[1] for case in BENT], ids=[case[0] for case in BENT])
def test_a_bent_callback_signs_nobody_in(door: Door, bend: Callable[[str], str]) -> None:
    with door.browser() as browser:
        answer = browser.get(bend(agree(leave(browser))))
        assert answer.status_code == 400 and "/sign-in/github" in answer.text
        assert "metrist_session" not in browser.cookies


def test_a_flow_can_be_finished_once(door: Door) -> None:
    with door.browser() as browser:
        callback = agree(leave(browser))
        assert browser.get(callback).status_code == 303
        assert browser.get(callback).status_code == 400
        assert door.provider.asked.count("/login/oauth/access_token") == 1


def test_a_replayed_code_is_refused_by_the_provider_and_explained(door: Door) -> None:
    with door.browser() as browser:
        callback = agree(leave(browser))
        flow = {name: value for name, value in browser.cookies.items() if name.startswith(flows.COOKIE)}
        browser.get(callback)
    with door.browser() as copied:
        copied.cookies.update(flow)
        answer = copied.get(callback)
    assert answer.status_code == 400 and "has been used" in answer.text
    assert door.provider.refusals == ["bad_verification_code"]


def test_a_forged_or_old_flow_is_none(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    with door.browser() as browser:
        callback = agree(leave(browser))
        (name,) = (name for name in browser.cookies if name.startswith(flows.COOKIE))
        true = browser.cookies[name]
        forged = URLSafeTimedSerializer(b"a guess", salt=flows.SALT).dumps({"session": {}, "after": "/", "user": None})
        for value in (forged, true[:-2] + "xx", true.split(".")[0], ""):
            with door.browser() as other:
                other.cookies.set(name, str(value))
                assert other.get(callback).status_code == 400
        monkeypatch.setattr(flows, "LASTS_S", -1)
        assert browser.get(callback).status_code == 400
        monkeypatch.undo()


def test_the_verifier_is_really_checked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stolen code is worth nothing without the verifier that only this browser's flow has."""
    with door.browser() as browser:
        url = leave(browser)
        query = parse_qs(urlsplit(url).query)
        assert query["code_challenge_method"] == ["S256"] and len(query["code_challenge"][0]) == 43
        callback = agree(url)
        true = flows.find

        def with_another_verifier(request: Any, key: bytes, state: str) -> Any:
            flow = true(request, key, state)
            assert flow
            (entry,) = flow.session.values()
            entry["data"]["code_verifier"] = "x" * 48
            return flow

        monkeypatch.setattr(flows, "find", with_another_verifier)
        answer = browser.get(callback)
    assert answer.status_code == 502
    assert door.provider.refusals == ["invalid_code_verifier"]


FOREIGN = [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_no_other_site_begins_a_flow(door: Door, headers: dict[str, str]) -> None:
    with door.browser() as browser:
        assert browser.post("/sign-in/github", headers=headers).status_code == 403
        again = browser.get("/sign-in/github")
        assert (again.status_code, again.headers["location"]) == (303, "/sign-in")
        assert not browser.cookies


def test_any_process_finishes_what_another_began_if_they_sign_alike(site: Site, door: Door, tmp_path: Path) -> None:
    for secret, status in (("", 303), ("another secret of the operator", 400)):
        folder = tmp_path / (secret or "same")
        settings = with_providers(site.settings, door.provider, folder, secret_key=SecretStr(secret))
        with serving(settings) as app, door.browser() as browser:
            callback = agree(leave(browser))
            elsewhere = Site(settings.base_url, app, settings, site.control)
            with elsewhere.client(**HTML) as other:
                other.cookies.update(dict(browser.cookies))
                assert other.get(callback).status_code == status


def test_https_guards_the_flow(site: Site, opened: Door, tmp_path: Path) -> None:
    settings = with_providers(site.settings, opened.provider, tmp_path, public_url="https://metrist.example")
    with serving(settings), httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", trust_env=False) as browser:
        answer = browser.post("/sign-in/github")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-metrist_flow_")
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"secure", "httponly", "path=/", "samesite=lax", "max-age=600"} <= parts
    assert "redirect_uri=https%3A%2F%2Fmetrist.example%2Fsign-in%2Fgithub%2Fcallback" in html.unescape(answer.text)
