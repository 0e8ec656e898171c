"""Signing in through providers: what works, and every way that it must not."""

import base64
import html
import json
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from itsdangerous import URLSafeTimedSerializer
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey
from pydantic import SecretStr
from sqlalchemy import select

from dashboards import flows, providers
from domain.accounts import Role
from domain.settings import Settings
from schema import accounts, identities, invitations, sessions, users
from schema.control.engine import reading
from schema.control.tables import events
from schema.sessions import Person as User
from tests.integration.pages.site import HTML, Site, free_port, new_link, new_tenant, serving
from tests.oauth_server import CLIENT_ID, CLIENT_SECRET, OAuthServer, Person, serving_oauth
from tests.racing import race

ids = iter(range(5_000, 1_000_000))


@dataclass
class Door:
    """A site whose sign-in page has providers, and the provider behind them."""

    site: Site
    provider: OAuthServer

    def browser(self, session: str | None = None) -> httpx.Client:
        return self.site.client(session, **HTML)

    def user_of(self, browser: httpx.Client) -> User | None:
        session = browser.cookies.get("metrist_session", domain="127.0.0.1")
        return sessions.find_person(self.site.control, session, datetime.now(UTC)) if session else None


@pytest.fixture(scope="module")
def opened(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with serving_oauth() as provider:
        settings = with_providers(site.settings, provider, tmp_path_factory.mktemp("oauth"))
        with serving(settings) as app:
            yield Door(Site(settings.base_url, app, settings, site.control), provider)


@pytest.fixture
def door(opened: Door) -> Iterator[Door]:
    """The door, with somebody nobody has seen before at the provider."""
    number = next(ids)
    provider = opened.provider
    provider.person = Person(number, f"ada-{number}", "Ada Lovelace", f"ada-{number}@example.org")
    provider.asked.clear()
    provider.refusals.clear()
    yield opened
    provider.denies, provider.slow_s, provider.forge = False, 0.0, None
    provider.fails, provider.claims, provider.discovery = set(), {}, {}


def with_providers(settings: Settings, provider: OAuthServer, folder: Path, **update: Any) -> Settings:
    secret = SecretStr(CLIENT_SECRET)
    github = {"github_client_id": CLIENT_ID, "github_client_secret": secret, "github_url": provider.url}
    oidc = {"oidc_issuer": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": secret}
    return settings.model_copy(update={**github, **oidc, "port": free_port(), "spool_dir": folder, **update})


def leave(browser: httpx.Client, provider: str = "github", **form: str) -> str:
    """Press the button; where the page that answers sends the browser."""
    answer = browser.post(f"/sign-in/{provider}", data=form)
    assert answer.status_code == 200, answer.text
    found = re.search(r'http-equiv="refresh" content="0;url=([^"]+)"', answer.text)
    assert found
    return html.unescape(found[1])


def agree(url: str) -> str:
    """Let the provider send the browser back; the path and query it comes back with."""
    answer = httpx.get(url, trust_env=False)
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["location"])
    return f"{parts.path}?{parts.query}"


def sign_in(browser: httpx.Client, provider: str = "github", **form: str) -> httpx.Response:
    return browser.get(agree(leave(browser, provider, **form)))


def types_of(door: Door, stream: str) -> list[str]:
    with reading(door.site.control) as conn:
        return list(conn.scalars(select(events.c.type).where(events.c.stream.like(stream)).order_by(events.c.seq)))


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


def signed_by_another(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "RS256", "kid": "first"}, claims, RSAKey.generate_key(2048, parameters={"kid": "first"}))


def not_signed(claims: dict[str, Any]) -> str:
    parts = (json.dumps({"alg": "none"}), json.dumps(claims), "")
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


def signed_with_our_secret(claims: dict[str, Any]) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET), algorithms=["HS256"])


@pytest.mark.parametrize(
    "forge", [signed_by_another, not_signed, signed_with_our_secret, lambda _: "rubbish", lambda _: ""]
)
def test_a_forged_id_token_signs_nobody_in(door: Door, forge: Callable[[dict[str, Any]], str]) -> None:
    door.provider.forge = forge
    with door.browser() as browser:
        answer = sign_in(browser, "oidc")
        assert answer.status_code == 502 and "metrist_session" not in browser.cookies


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("another nonce", {"nonce": "foreign"}),
    ("no nonce", {"nonce": None}),
    ("for somebody else", {"aud": "another-client"}),
    ("for somebody else, by us", {"aud": ["another-client"], "azp": CLIENT_ID}),
    ("of another issuer", {"iss": "https://evil.example"}),
    ("over", {"exp": 1_700_000_000}),
    ("of nobody", {"sub": None}),
]


@pytest.mark.parametrize("claims", [case[1] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_id_token_that_is_not_ours_signs_nobody_in(door: Door, claims: dict[str, Any]) -> None:
    door.provider.claims = claims
    with door.browser() as browser:
        answer = sign_in(browser, "oidc")
        assert answer.status_code == 502 and "metrist_session" not in browser.cookies


def test_an_id_token_for_several_clients_that_names_us_is_good(door: Door) -> None:
    door.provider.claims = {"aud": [CLIENT_ID, "another-client"], "azp": CLIENT_ID}
    with door.browser() as browser:
        assert sign_in(browser, "oidc").status_code == 303


def test_new_keys_of_the_provider_are_fetched(door: Door) -> None:
    with door.browser() as browser:
        sign_in(browser, "oidc")
        door.provider.key = RSAKey.generate_key(2048, parameters={"kid": f"key-{next(ids)}", "use": "sig"})
        assert sign_in(browser, "oidc").status_code == 303


def test_a_discovery_document_of_another_issuer_is_not_believed(site: Site, tmp_path: Path) -> None:
    with serving_oauth() as provider:
        provider.discovery = {"issuer": "https://evil.example"}
        settings = with_providers(site.settings, provider, tmp_path)
        with serving(settings) as app, Site(settings.base_url, app, settings, site.control).client(**HTML) as browser:
            assert browser.post("/sign-in/oidc").status_code == 502
            provider.fails = {"/.well-known/openid-configuration"}
            assert browser.post("/sign-in/oidc").status_code == 502
            provider.fails, provider.discovery = set(), {}
            assert sign_in(browser, "oidc").status_code == 303


FOREIGN = [{"sec-fetch-site": "cross-site"}, {"origin": "https://evil.example"}]


@pytest.mark.parametrize("headers", FOREIGN)
def test_no_other_site_begins_a_flow(door: Door, headers: dict[str, str]) -> None:
    with door.browser() as browser:
        assert browser.post("/sign-in/github", headers=headers).status_code == 403
        again = browser.get("/sign-in/github")
        assert (again.status_code, again.headers["location"]) == (303, "/sign-in")
        assert not browser.cookies


def test_https_guards_the_flow(site: Site, opened: Door, tmp_path: Path) -> None:
    settings = with_providers(site.settings, opened.provider, tmp_path, public_url="https://metrist.example")
    with serving(settings), httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", trust_env=False) as browser:
        answer = browser.post("/sign-in/github")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-metrist_flow_")
    parts = {part.strip().lower() for part in cookie.split(";")}
    assert {"secure", "httponly", "path=/", "samesite=lax", "max-age=600"} <= parts
    assert "redirect_uri=https%3A%2F%2Fmetrist.example%2Fsign-in%2Fgithub%2Fcallback" in html.unescape(answer.text)


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


def connect(browser: httpx.Client, provider: str = "github") -> httpx.Response:
    return sign_in(browser, provider, connect="true", next="/settings/you")


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
        foreign = browser.post("/settings/you/disconnect", data={"provider": "github"}, headers=FOREIGN[0])
        assert foreign.status_code == 403


def test_a_disconnected_identity_can_be_connected_again(door: Door) -> None:
    tenant = new_tenant(door.site, f"again-{next(ids)}")
    with door.browser(tenant.session) as browser:
        for _ in range(2):
            assert connect(browser).status_code == 303
            assert browser.post("/settings/you/disconnect", data={"provider": "github"}).status_code == 303
        door.provider.person.login = "renamed-meanwhile"
        assert connect(browser).status_code == 303


def test_a_provider_that_is_not_set_up_is_not_offered(site: Site) -> None:
    with site.client(**HTML) as browser:
        page = browser.get("/sign-in").text
        assert "Continue with" not in page and "metrist user sign-in" in page
        assert browser.post("/sign-in/github").status_code == 404
        assert browser.get("/sign-in/github/callback").status_code == 404


@pytest.fixture(scope="module")
def invited(site: Site, opened: Door, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    settings = with_providers(site.settings, opened.provider, tmp_path_factory.mktemp("invited"), sign_up="invited")
    with serving(settings) as app:
        yield Door(Site(settings.base_url, app, settings, site.control), opened.provider)


def invite(door: Door) -> str:
    tenant = new_tenant(door.site, f"host-{next(ids)}")
    host = users.find_by_email(door.site.control, tenant.email)
    assert host
    made = invitations.create(door.site.control, tenant.account_id, Role.VIEWER, "", datetime.now(UTC), by=host.id)
    return f"/invite/{made.token}"


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
