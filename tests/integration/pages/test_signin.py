"""Signing in by a link, out again, and what other sites may not do."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from schema import events, sessions, users
from tests.integration.pages.site import HTML, Site, Tenant, free_port, new_link, new_tenant, serving


def test_a_link_signs_in_once_and_only_by_its_button(site: Site, ours: Tenant) -> None:
    token = new_link(site, ours.email)
    with site.client(**HTML) as browser:
        for _ in range(3):
            assert "Sign in" in browser.get("/sign-in", params={"token": token}).text
        answer = browser.post("/sign-in", data={"token": token}, headers={"sec-fetch-site": "same-origin"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
        cookie = answer.headers["set-cookie"].lower()
        assert cookie.startswith("metrist_session=") and "httponly" in cookie and "samesite=lax" in cookie
        assert browser.get("/nodes").status_code == 200
        assert browser.post("/sign-in", data={"token": token}).status_code == 410


def test_signing_in_leads_to_what_was_asked_for(site: Site, ours: Tenant) -> None:
    with site.client(**HTML) as browser:
        page = browser.get("/sign-in", params={"token": new_link(site, ours.email), "next": "/nodes/stream?range=1h"})
        form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text))
        answer = browser.post("/sign-in", data=form)
        assert answer.headers["location"] == "/nodes/stream?range=1h"
        again = browser.get("/sign-in", params={"next": "/help/agent"})
        assert (again.status_code, again.headers["location"]) == (303, "/help/agent")


@pytest.mark.parametrize("asked", ["//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"])
def test_signing_in_leads_to_no_other_site(site: Site, ours: Tenant, asked: str) -> None:
    with site.client(**HTML) as browser:
        assert "evil" not in browser.get("/sign-in", params={"token": "x", "next": asked}).text
        answer = browser.post("/sign-in", data={"token": new_link(site, ours.email), "next": asked})
        assert answer.headers["location"] == "/nodes"
        assert browser.get("/sign-in", params={"next": asked}).headers["location"] == "/nodes"


def test_signing_in_again_ends_the_session_the_browser_had(site: Site, ours: Tenant) -> None:
    session = sessions.redeem(site.control, new_link(site, ours.email), datetime.now(UTC))
    assert session
    with site.client(session, **HTML) as browser:
        answer = browser.post("/sign-in", data={"token": new_link(site, ours.email)})
        assert sessions.find(site.control, answer.cookies["metrist_session"], datetime.now(UTC)) is not None
    assert sessions.find(site.control, session, datetime.now(UTC)) is None


def test_a_session_remembers_its_browser(site: Site) -> None:
    tenant = new_tenant(site, "browsers")
    with site.client(**HTML) as browser:
        data, headers = {"token": new_link(site, tenant.email)}, {"user-agent": "Mozilla/5.0 (X11; Linux) Firefox/1"}
        browser.post("/sign-in", data=data, headers=headers)
        person = sessions.find_person(site.control, browser.cookies["metrist_session"], datetime.now(UTC))
    assert person
    listed = sessions.list_for(site.control, person.user_id, datetime.now(UTC))
    assert [one.browser for one in listed] == ["Firefox on Linux", None]


def test_signing_out_everywhere_ends_every_session(site: Site) -> None:
    tenant = new_tenant(site, "everywhere")
    other = sessions.redeem(site.control, new_link(site, tenant.email), datetime.now(UTC))
    with site.client(tenant.session, **HTML) as browser:
        assert browser.post("/sign-out/everywhere").headers["location"] == "/sign-in"
    with site.client(other, **HTML) as elsewhere:
        assert elsewhere.get("/nodes").headers["location"] == "/sign-in"


def test_who_belongs_to_no_account_is_led_to_make_one(site: Site) -> None:
    email = f"{uuid4().hex}@example.org"
    events.retrying(site.control, lambda conn: users.find_or_create(conn, email, datetime.now(UTC)))
    session = sessions.redeem(site.control, new_link(site, email), datetime.now(UTC))
    with site.client(session, **HTML) as browser:
        assert browser.get("/nodes").headers["location"] == "/accounts/new"
        answer = browser.get("/api/v1/series", headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["type"]) == (403, "/docs/problems#no-account")


def test_signing_out_ends_the_session_itself(site: Site, ours: Tenant) -> None:
    session = sessions.redeem(site.control, new_link(site, ours.email), datetime.now(UTC))
    with site.client(session, **HTML) as browser:
        assert browser.post("/sign-out").headers["location"] == "/sign-in"
    with site.client(session, **HTML) as kept:
        assert kept.get("/nodes").status_code == 303


@pytest.mark.parametrize("token", ["", "wrong", "x" * 200, "\0"], ids=["empty", "wrong", "long", "nul"])
def test_a_wrong_token_signs_nobody_in(stranger: httpx.Client, token: str) -> None:
    answer = stranger.post("/sign-in", data={"token": token})
    assert answer.status_code == 410 and "set-cookie" not in answer.headers


def test_an_old_link_is_explained(site: Site, ours: Tenant, stranger: httpx.Client) -> None:
    user = users.find_by_email(site.control, ours.email)
    assert user
    token = sessions.create_link(site.control, user.id, datetime.now(UTC) - timedelta(hours=2), 60)
    answer = stranger.post("/sign-in", data={"token": token})
    assert answer.status_code == 410 and "too old" in answer.text


FOREIGN = [
    ("another site", {"sec-fetch-site": "cross-site"}),
    ("a sibling domain", {"sec-fetch-site": "same-site"}),
    ("another origin", {"origin": "https://evil.example"}),
    ("no origin to name", {"origin": "null"}),
    ("our port elsewhere", {"origin": "http://evil.example:80"}),
]


@pytest.mark.parametrize("headers", [case[1] for case in FOREIGN], ids=[case[0] for case in FOREIGN])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/sign-out/everywhere"])
def test_forms_of_other_sites_are_refused(site: Site, ours: Tenant, path: str, headers: dict[str, str]) -> None:
    token = new_link(site, ours.email)
    with site.client(ours.session, **HTML) as browser:
        assert browser.post(path, data={"token": token}, headers=headers).status_code == 403
        assert browser.get("/nodes").status_code == 200


def test_our_own_forms_are_taken_by_origin_alone(site: Site, ours: Tenant, stranger: httpx.Client) -> None:
    answer = stranger.post("/sign-in", data={"token": new_link(site, ours.email)}, headers={"origin": site.url})
    assert answer.status_code == 303


def test_https_guards_the_cookie_and_the_connection(site: Site, ours: Tenant, tmp_path: Path) -> None:
    update = {"public_url": "https://metrist.example", "port": free_port(), "spool_dir": tmp_path}
    settings = site.settings.model_copy(update=update)
    with serving(settings), httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", trust_env=False) as browser:
        answer = browser.post("/sign-in", data={"token": new_link(site, ours.email)})
    assert answer.headers["set-cookie"].startswith("__Host-metrist_session=")
    assert {"Secure", "Path=/"} <= {part.strip() for part in answer.headers["set-cookie"].split(";")}
    assert answer.headers["strict-transport-security"].startswith("max-age=")
