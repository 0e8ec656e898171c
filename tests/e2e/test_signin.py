"""Chromium signs in through a provider, into a real `metrist up` that is told of it by its environment."""

import re
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.e2e.platforms import Platform
from tests.oauth_server import CLIENT_ID, CLIENT_SECRET, OAuthServer, Person, serving_oauth

Start = Callable[..., Platform]


@pytest.fixture
def provider() -> Iterator[OAuthServer]:
    with serving_oauth() as server:
        yield server


@pytest.fixture
def platform(start: Start, provider: OAuthServer) -> Platform:
    """A platform that people sign in to through the provider, in both ways it speaks."""
    return start(
        env={
            "METRIST_GITHUB_CLIENT_ID": CLIENT_ID,
            "METRIST_GITHUB_CLIENT_SECRET": CLIENT_SECRET,
            "METRIST_GITHUB_URL": provider.url,
            "METRIST_OIDC_ISSUER": provider.url,
            "METRIST_OIDC_CLIENT_ID": CLIENT_ID,
            "METRIST_OIDC_CLIENT_SECRET": CLIENT_SECRET,
            "METRIST_OIDC_NAME": "Example Works",
            "METRIST_LOG_LEVEL": "debug",
        }
    )


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 800})
    yield opened
    opened.close()


def test_a_person_signs_in_out_and_in_again_and_connects_another_way(
    context: BrowserContext, platform: Platform, provider: OAuthServer
) -> None:
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page = context.new_page()
    page.goto(f"{platform.url}/settings/account")
    expect(page).to_have_url(re.compile(r"/sign-in\?next=/settings/account$"))
    page.get_by_role("button", name="Continue with GitHub").click()
    page.wait_for_url("**/settings/account")
    expect(page.locator("header.top")).to_contain_text("Ada Lovelace")

    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    assert set(cookies) == {"metrist_session"}
    assert cookies["metrist_session"]["httpOnly"] and cookies["metrist_session"]["sameSite"] == "Lax"

    sign_out(page)
    provider.person.login = "countess"
    page.get_by_role("button", name="Continue with GitHub").click()
    page.wait_for_url("**/nodes")
    expect(page.locator("header.top")).to_contain_text("Ada Lovelace")

    page.goto(f"{platform.url}/settings/you")
    ways = page.locator("section[aria-labelledby='ways']")
    expect(ways).to_contain_text("GitHub as countess")
    page.get_by_role("button", name="Connect Example Works").click()
    expect(ways).to_contain_text("Example Works as countess")
    ways.locator("form", has=page.locator("input[value='github']")).get_by_role("button").click()
    expect(ways).not_to_contain_text("GitHub as countess")
    sign_out(page)
    page.get_by_role("button", name="Continue with Example Works").click()
    page.wait_for_url("**/nodes")
    expect(page.locator("header.top")).to_contain_text("Ada Lovelace")
    assert complaints == []
    assert_quiet(platform, provider)


def test_two_tabs_and_a_person_who_declines(context: BrowserContext, platform: Platform, provider: OAuthServer) -> None:
    first, second = context.new_page(), context.new_page()
    provider.person = Person(7, "grace", "Grace Hopper", "grace@example.org")
    held: list[str] = []

    def hold(route: Route) -> None:
        held.append(route.request.url)
        route.abort()

    context.route(f"{provider.url}/**", hold)
    for page in (first, second):
        page.goto(f"{platform.url}/sign-in?next=/help/agent")
    first.get_by_role("button", name="Continue with Example Works").click(no_wait_after=True)
    second.get_by_role("button", name="Continue with Example Works").click(no_wait_after=True)
    platform.wait_until(lambda: pumped(first) and len(held) == 2)
    context.unroute_all()
    for page, url in ((second, held[1]), (first, held[0])):  # they come back in the other order
        page.goto(url)
        expect(page).to_have_url(f"{platform.url}/help/agent")
    provider.denies = True
    sign_out(first)
    first.get_by_role("button", name="Continue with GitHub").click()
    expect(first.get_by_role("heading", level=1)).to_have_text("Signing in did not work")
    provider.denies = False
    first.get_by_role("button", name="Continue with GitHub").click()
    first.wait_for_url("**/nodes")


def sign_out(page: Page) -> None:
    """By the form every page has."""
    page.evaluate("document.querySelector(\"form[action='/sign-out']\").requestSubmit()")
    page.wait_for_url("**/sign-in")


def pumped(page: Page) -> bool:
    """Let Playwright hear what happened meanwhile."""
    page.wait_for_timeout(20)
    return True


def assert_quiet(platform: Platform, provider: OAuthServer) -> None:
    """Even at debug, nothing that opens anything is logged."""
    logs = platform.output + "".join(path.read_text() for path in (platform.data_dir / "logs").iterdir())
    assert "signed_in" in logs
    secrets = [CLIENT_SECRET, *provider.tokens, *provider.codes]
    assert urlsplit(provider.url).netloc and not [secret for secret in secrets if secret in logs]
