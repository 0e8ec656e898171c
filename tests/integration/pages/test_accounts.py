"""The account's own page, its end, several accounts of one person, and one's own page."""

import time
from datetime import UTC, datetime
from urllib.parse import unquote

import pytest

from domain.accounts import DEREGISTER_MOST_S, Role
from schema import accounts, erasures, sessions, users
from tests.integration.pages.company import OURS, Company
from tests.integration.pages.site import HOSTILE, HTML, Site, new_link


@pytest.fixture
def company(site: Site) -> Company:
    return Company.found(site)


def name_of(company: Company) -> str:
    account = accounts.find(company.site.control, company.tenant.account_id)
    assert account
    return account.name


def after_s(company: Company) -> int | None:
    account = accounts.find(company.site.control, company.tenant.account_id)
    assert account
    return account.deregister_after_s


def test_settings_begin_with_the_account(company: Company) -> None:
    answer = company.get(Role.VIEWER, "/settings")
    assert (answer.status_code, answer.headers["location"]) == (307, "/settings/account")


def test_an_account_is_renamed_and_says_so(company: Company) -> None:
    with company.browser(Role.ADMIN) as browser:
        answer = browser.post("/settings/account/name", data={"name": HOSTILE})
        assert (answer.status_code, answer.headers["location"]) == (303, "/settings/account?said=renamed")
        page = browser.get(answer.headers["location"]).text
    assert name_of(company) == HOSTILE
    assert "has its new name" in page and HOSTILE not in page and "&lt;img" in page


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "a\x00b"], ids=["none", "blank", "long", "nul"])
def test_a_name_nobody_could_read_is_explained(company: Company, name: str) -> None:
    answer = company.post(Role.OWNER, "/settings/account/name", name=name)
    assert answer.status_code == 422 and "1 to 100 printable characters" in answer.text
    assert 'role="alert"' in answer.text


GIVEN: list[tuple[str, str, str, int | None]] = [
    ("hours", "6", "", 21_600),
    ("minutes", "", "45", 2_700),
    ("both", " 1 ", "30", 5_400),
    ("the least", "0", "2", 120),
    ("the most", str(DEREGISTER_MOST_S // 3_600), "0", DEREGISTER_MOST_S),
    ("nothing", "", "", None),
]


@pytest.mark.parametrize(("what", "hours", "minutes", "expected"), GIVEN, ids=[row[0] for row in GIVEN])
def test_silent_nodes_go_after(company: Company, what: str, hours: str, minutes: str, expected: int | None) -> None:
    company.post(Role.OWNER, "/settings/account/deregistration", hours="9", minutes="9")
    answer = company.post(Role.ADMIN, "/settings/account/deregistration", hours=hours, minutes=minutes)
    assert answer.status_code == 303
    assert after_s(company) == expected
    page = company.get(Role.VIEWER, "/settings/account").text
    assert ("(set here)" in page) == (expected is not None)
    assert ("(the platform&#39;s default)" in page or "(the platform's default)" in page) == (expected is None)


REFUSED = [
    ("before it is offline", "0", "1", "offline after 100 s"),
    ("nothing at all", "0", "0", "offline after 100 s"),
    ("longer than a month", "721", "", "30 days at the latest"),
    ("words", "four", "", "whole numbers"),
    ("a minus", "-1", "", "whole numbers"),
    ("other digits", "４", "", "whole numbers"),
    ("very many digits", "9" * 400, "", "whole numbers"),
]


@pytest.mark.parametrize(("what", "hours", "minutes", "detail"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_limit_that_cannot_be_is_explained(
    company: Company, what: str, hours: str, minutes: str, detail: str
) -> None:
    answer = company.post(Role.OWNER, "/settings/account/deregistration", hours=hours, minutes=minutes)
    assert answer.status_code == 422 and detail in answer.text
    assert after_s(company) is None


def test_the_page_shows_how_long_samples_are_kept(company: Company) -> None:
    page = company.get(Role.VIEWER, "/settings/account").text
    settings = company.site.settings
    for days in (settings.raw_retention_days, settings.minute_retention_days, settings.hour_retention_days):
        assert f"{days} days" in page
    assert str(company.tenant.account_id) in page


@pytest.mark.parametrize("typed", ["", "another", "COMPANY"])
def test_an_account_is_not_deleted_by_a_slip(company: Company, typed: str) -> None:
    answer = company.post(Role.OWNER, "/settings/account/delete", name=typed)
    assert answer.status_code == 422 and "To delete it, type" in answer.text
    assert name_of(company)


def test_a_deleted_account_is_gone_for_everybody_at_once(company: Company) -> None:
    site, tenant = company.site, company.tenant
    company.browser(Role.VIEWER).close()
    with site.client(authorization=f"Bearer {tenant.key}") as agent:
        assert agent.post("/api/v1/ping", json={"node": "web-1"}).status_code == 200
        answer = company.post(Role.OWNER, "/settings/account/delete", name=name_of(company))
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
        deadline_s = time.monotonic() + 1  # the key is told to end, and not only looked at again after five seconds
        while agent.post("/api/v1/ping", json={"node": "web-1"}).status_code != 401:
            assert time.monotonic() < deadline_s, "the key still works"
    assert accounts.find(site.control, tenant.account_id) is None
    for role in (Role.OWNER, Role.VIEWER):
        with company.browser(role) as browser:
            answer = browser.get("/nodes", follow_redirects=True)
        assert answer.status_code == 200
        assert tenant.email.partition("@")[0] not in answer.text.replace(tenant.email, "")
    (asked,) = [
        one for one in erasures.due(site.control, datetime.now(UTC), 100) if one.account_id == tenant.account_id
    ]
    assert asked.node == ""


def test_who_belongs_to_no_account_is_led_to_make_one(company: Company) -> None:
    with company.browser(Role.OWNER) as browser:
        browser.post("/settings/account/delete", data={"name": name_of(company)})
        answer = browser.get("/nodes")
        assert (answer.status_code, answer.headers["location"]) == (303, "/accounts/new")
        page = browser.get("/accounts/new").text
        assert "Make your first account" in page and 'href="/settings' not in page
        answer = browser.post("/accounts/new", data={"name": " "})
        assert answer.status_code == 422 and 'role="alert"' in answer.text
        assert browser.post("/accounts/new", data={"name": "Phoenix"}).headers["location"] == "/nodes"
        page = browser.get("/nodes").text
        assert "Phoenix" in page
        (mine,) = accounts.list_of(company.site.control, company.owner)
        assert mine.name == "Phoenix"


def test_one_switches_between_accounts(company: Company) -> None:
    with company.browser(Role.OWNER) as browser:
        browser.post("/accounts/new", data={"name": "Second"})
        assert "<title>Account" in browser.get("/settings/account").text
        assert "of Second" in browser.get("/settings/account").text
        first = str(company.tenant.account_id)
        page = browser.get("/nodes").text
        assert page.count('name="account" value="') == 2
        answer = browser.post("/accounts/switch", data={"account": first})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes")
        assert f"of {name_of(company)}" in browser.get("/settings/account").text
        assert browser.post("/accounts/switch", data={"account": "nonsense"}).status_code == 422


def test_another_browser_looks_at_its_own_account(company: Company) -> None:
    link = new_link(company.site, company.tenant.email)
    session = sessions.redeem(company.site.control, link, datetime.now(UTC))
    with company.browser(Role.OWNER) as one, company.site.client(session, **HTML, **OURS) as other:
        one.post("/accounts/new", data={"name": "Second"})
        assert "of Second" in one.get("/settings/account").text
        assert f"of {name_of(company)}" in other.get("/settings/account").text


def test_the_last_owner_does_not_leave(company: Company) -> None:
    answer = company.post(Role.OWNER, "/settings/account/leave")
    assert answer.status_code == 403 and "at least one owner" in answer.text
    assert company.post(Role.VIEWER, "/settings/account/leave").status_code == 303
    assert list(company.roles().values()) == [Role.OWNER]


def test_one_is_called_as_one_says(company: Company) -> None:
    with company.browser(Role.VIEWER) as browser:
        assert browser.post("/settings/you/name", data={"name": HOSTILE}).status_code == 303
        page = browser.get("/settings/you?said=you").text
        assert "Saved." in page and HOSTILE not in page
        assert browser.post("/settings/you/name", data={"name": "x" * 101}).status_code == 422
    assert "&lt;img src=x" in company.get(Role.OWNER, "/settings/people").text
    with company.browser(Role.VIEWER) as browser:
        browser.post("/settings/you/name", data={"name": ""})
    found = users.find_by_email(company.site.control, company.tenant.email)
    assert found and found.name is None


def test_sessions_are_listed_and_ended(company: Company) -> None:
    site = company.site
    for agent in ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "curl/8"):
        token = new_link(site, company.tenant.email)
        with site.client(**HTML, **OURS, **{"user-agent": agent}) as browser:
            browser.post("/sign-in", data={"token": token})
    with company.browser(Role.OWNER) as browser:
        page = browser.get("/settings/you").text
        assert page.count("this one") == 1 and "Firefox" in page
        paths = [
            part.partition('"')[0] for part in page.split('action="')[1:] if "/sessions/" in part.partition('"')[0]
        ]
        ends = [path for path in paths if path.endswith("/end")]
        assert len(ends) == 2
        assert browser.post(unquote(ends[0])).headers["location"] == "/settings/you?said=signed-out"
        assert len(sessions.list_for(site.control, company.owner, datetime.now(UTC))) == 2
        assert browser.post("/settings/you/sessions/end-others").status_code == 303
        assert len(sessions.list_for(site.control, company.owner, datetime.now(UTC))) == 1
        assert browser.get("/settings/you").status_code == 200
