"""Chromium, two people: one invites, the other joins, is made an admin, and each looks at several accounts.

And what one of them deletes is gone from every store of the running platform.
"""

import re
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from domain.own_account import NAME
from schema.clickhouse_client import ClickHouse
from schema.erasures import TABLES
from tests.e2e.platforms import Platform, start_platform
from tests.oauth_server import CLIENT_ID, CLIENT_SECRET, OAuthServer, Person, serving_oauth

GONE_WITHIN_S = 40


@pytest.fixture(scope="module")
def provider() -> Iterator[OAuthServer]:
    with serving_oauth() as server:
        yield server


@pytest.fixture(scope="module")
def platform(provider: OAuthServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    env = {
        "METRIST_GITHUB_CLIENT_ID": CLIENT_ID,
        "METRIST_GITHUB_CLIENT_SECRET": CLIENT_SECRET,
        "METRIST_GITHUB_URL": provider.url,
    }
    started = start_platform(tmp_path_factory.mktemp("people"), env=env)
    yield started
    started.stop()


@pytest.fixture
def browse(browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Opens a browser of somebody's own; whatever one of them complains of fails the test."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(**options: object) -> BrowserContext:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 800}} | options))  # type: ignore[arg-type]
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()
    assert complaints == []


def sign_in(context: BrowserContext, address: str) -> Page:
    page = context.new_page()
    page.goto(address)
    page.get_by_role("button", name="Continue with GitHub").click()
    return page


def switch(page: Page, account: str) -> None:
    """By keyboard: open the menu, walk to the account, press it."""
    page.locator("#menu summary").focus()
    page.keyboard.press("Enter")
    button = page.locator("#menu button", has_text=account)
    for _ in range(20):
        page.keyboard.press("Tab")
        if button.evaluate("found => found === document.activeElement"):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes")
    expect(page.locator("#menu summary")).to_have_text(account)


def test_two_people_share_an_account(
    platform: Platform, provider: OAuthServer, browse: Callable[..., BrowserContext]
) -> None:
    ada = sign_in(browse(), f"{platform.url}/settings/people")
    ada.wait_for_url("**/settings/people")
    ada.get_by_role("button", name="Make a link").click()
    link = ada.locator("section[aria-labelledby='link'] pre").inner_text()
    assert re.fullmatch(re.escape(platform.url) + r"/invite/[0-9a-f]{16}_[\w-]{43}", link)
    ada.reload()
    expect(ada.locator("section[aria-labelledby='link']")).to_have_count(0)

    provider.person = Person(id=2, login="grace", name="Grace Hopper", email="grace@example.org")
    grace = sign_in(browse(viewport={"width": 390, "height": 844}), link)
    grace.wait_for_url("**/invite/**")
    expect(grace.locator("main")).to_contain_text("Ada Lovelace invites you as viewer")
    grace.get_by_role("button", name="Join as Grace Hopper").click()
    grace.wait_for_url("**/nodes")
    expect(grace.locator("#menu summary")).to_have_text("Ada Lovelace")
    assert grace.evaluate("document.documentElement.scrollWidth") <= 390
    grace.goto(f"{platform.url}/settings/people")
    expect(grace.get_by_role("link", name="Audit log")).to_have_count(0)

    ada.goto(f"{platform.url}/settings/people")
    ada.get_by_role("combobox", name="Role of Grace Hopper").select_option("admin")
    ada.get_by_label("Change the role of Grace Hopper").click()
    expect(ada.locator("main")).to_contain_text("The role is changed")

    grace.goto(f"{platform.url}/nodes")
    grace.locator("#menu summary").click()
    grace.locator("#menu").get_by_role("link", name="Settings").click()
    grace.get_by_role("link", name="Audit log").click()
    told = grace.locator(".what").all_inner_texts()
    assert told[0] == "Ada Lovelace made Grace Hopper an admin"
    assert "Grace Hopper joined as a viewer" in told

    grace.set_viewport_size({"width": 1280, "height": 800})
    switch(grace, "Grace Hopper")
    grace.locator("#menu summary").click()
    grace.get_by_role("link", name="New account").click()
    grace.get_by_label("Name").fill("Eckert")
    grace.get_by_role("button", name="Make the account").click()
    expect(grace.locator("#menu summary")).to_have_text("Eckert")
    switch(grace, "Ada Lovelace")
    grace.keyboard.press("Escape")

    ada.goto(f"{platform.url}/settings/people")
    ada.locator("tr", has_text="Grace Hopper").get_by_role("button", name="Remove").click()
    ada.get_by_role("button", name="Remove them").click()
    expect(ada.locator("main")).to_contain_text("They no longer belong")
    grace.goto(f"{platform.url}/nodes")
    expect(grace.locator("#menu summary")).not_to_have_text("Ada Lovelace")


def test_a_deleted_account_is_erased_from_every_store(
    platform: Platform, browse: Callable[..., BrowserContext]
) -> None:
    page = browse().new_page()
    page.goto(platform.sign_in_url)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    own = page.locator("#menu button", has_text=NAME)  # with the platform's first figures of itself
    platform.wait_until(lambda: page.reload() is not None and own.count() == 1)
    platform.post_snapshot("canary", {"cpu.usage_percent": 42})
    platform.wait_until(lambda: bool(platform.get("/api/v1/metrics").json()["series"]))
    page.goto(f"{platform.url}/settings/account")
    account_id = page.locator(".fact-line pre").inner_text()
    page.locator("form[action$='/delete'] input").fill("home")
    page.get_by_role("button", name="Delete for good").click()
    page.wait_for_url("**/nodes")
    expect(page.locator("#menu summary")).to_have_text(NAME)  # what is left to who operates the platform
    deadline_s = time.monotonic() + 2
    while platform.get("/api/v1/metrics").status_code != 401:
        assert time.monotonic() < deadline_s, "the key still works"
    samples = ClickHouse(platform.settings()["METRIST_CLICKHOUSE_URL"])
    kept = [f"(SELECT count() FROM {table} WHERE account = '{account_id}')" for table in TABLES]
    platform.wait_until(lambda: int(str(samples.command(f"SELECT {' + '.join(kept)}"))) == 0, GONE_WITHIN_S)
    samples.close()
    assert httpx.get(f"{platform.url}/readyz", trust_env=False).status_code == 200
