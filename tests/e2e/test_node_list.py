"""The list of a few hundred nodes in Chromium: found, sorted and paged by the server, and current by itself."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.platforms import Platform, start_platform

NODES = 240
SOON_MS = 15_000


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with 240 nodes: three pages, four racks, two environments."""
    platform = start_platform(tmp_path_factory.mktemp("fleet"))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ping(platform, number), range(NODES)))
    snapshots = [{"node": name(number), "metrics": {"cpu.usage_percent": number / 3}} for number in range(NODES)]
    answer = httpx.post(platform.url + "/api/v1/snapshots", json=snapshots, headers=_key(platform), trust_env=False)
    assert answer.status_code == 202
    yield platform
    platform.stop()


def name(number: int) -> str:
    return f"web-{number}"


def ping(platform: Platform, number: int, **more: Any) -> None:
    """The node's agent is there, and says what it is."""
    labels = {"env": "prod" if number % 2 else "dev", "rack": f"r{number % 4}"}
    body = {"node": name(number), "labels": labels, "ping_interval_s": 600} | more
    answer = httpx.post(platform.url + "/api/v1/ping", json=body, headers=_key(platform), timeout=30, trust_env=False)
    assert answer.status_code == 200, answer.text


def _key(platform: Platform) -> dict[str, str]:
    return {"Authorization": f"Bearer {platform.key}"}


@pytest.fixture(scope="module")
def session(browser: Browser, fleet: Platform) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1400, "height": 900}, base_url=fleet.url)
    page = context.new_page()
    page.goto(fleet.sign_in_url)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    page.close()
    yield context
    context.close()


@pytest.fixture
def page(session: BrowserContext) -> Iterator[Page]:
    """A page that never loads twice by itself, and whose console stays silent."""
    opened = session.new_page()
    said: list[str] = []
    opened.on("console", lambda one: said.append(one.text) if one.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    yield opened
    opened.close()
    assert said == []


def rows(page: Page) -> Locator:
    return page.locator("#nodes tbody tr")


def names(page: Page) -> list[str]:
    return page.locator("#nodes tbody td.name a").all_inner_texts()


def stay(page: Page) -> None:
    """Mark this very document; `stayed` tells whether it is still the one."""
    page.evaluate("window.isTheSame = true")


def stayed(page: Page) -> bool:
    return bool(page.evaluate("window.isTheSame === true"))


def test_typing_finds_nodes_and_the_address_can_be_shared(page: Page, session: BrowserContext) -> None:
    page.goto("/nodes")
    expect(rows(page)).to_have_count(100)
    stay(page)
    page.keyboard.press("/")
    page.keyboard.type("web env=prod rack=~r[13]")
    expect(page.locator("[data-state-filter=''] .count")).to_have_text("120")
    page.keyboard.type(" web-1 rack!=r3")
    expect(page.locator("[data-state-filter=''] .count")).to_have_text("28")
    expect(rows(page)).to_have_count(28)
    assert names(page)[:3] == ["web-1", "web-13", "web-17"] and stayed(page)
    other = session.new_page()
    other.goto(page.url)
    assert names(other) == names(page)
    expect(other.locator("[data-filter]")).to_have_value("web env=prod rack=~r[13] web-1 rack!=r3")
    other.close()


def test_a_pattern_that_is_none_is_explained_and_the_rows_stay(page: Page) -> None:
    page.goto("/nodes?q=web-23")
    expect(rows(page)).to_have_count(11)
    page.locator("[data-filter]").fill("rack=~(")
    expect(page.locator("#problem")).to_contain_text("“(” is no pattern")
    expect(rows(page)).to_have_count(11)
    page.locator("[data-filter]").fill("rack=~(r1)")
    expect(page.locator("#problem")).to_be_hidden()
    expect(page.locator("[data-state-filter=''] .count")).to_have_text("60")


def test_columns_sort_and_pages_turn_and_the_back_button_goes_back(page: Page) -> None:
    page.goto("/nodes")
    stay(page)
    page.locator("[data-sort=cpu]").click()
    expect(page.locator("#nodes tbody td.name a").first).to_have_text("web-239", timeout=SOON_MS)
    expect(page.locator("th[aria-sort=descending]")).to_have_text("CPU")
    expect(rows(page).first).to_contain_text("79.7%")
    page.locator("[data-sort=name]").click()
    expect(page.locator("#nodes tbody td.name a").first).to_have_text("web-0")
    page.locator("#pager [rel=next]").click()
    expect(page.locator("#span")).to_have_text("101–200 of 240")
    page.locator("#pager [rel=next]").click()
    expect(rows(page)).to_have_count(40)
    assert names(page) == [name(number) for number in range(200, 240)]
    expect(page).to_have_url(re.compile(r"/nodes\?page=3$"))
    page.go_back()
    expect(page.locator("#span")).to_have_text("101–200 of 240")
    expect(rows(page)).to_have_count(100)
    page.go_back()
    page.go_back()
    expect(page.locator("#nodes tbody td.name a").first).to_have_text("web-239")
    assert stayed(page)


def test_a_node_that_leaves_and_comes_back_is_seen_without_reloading(page: Page, fleet: Platform) -> None:
    page.goto("/nodes?q=web-77")
    stay(page)
    state = rows(page).first.locator(".state")
    expect(state).to_have_text("online")
    ping(fleet, 77, goodbye={"reason": "stop"})
    expect(state).to_have_text("offline", timeout=SOON_MS)
    expect(page.locator("#announce")).to_have_text("web-77 is offline")
    expect(page.locator("[data-state-filter=offline] .count")).to_have_text("1")
    page.locator("[data-state-filter=offline]").click()
    expect(rows(page)).to_have_count(1)
    ping(fleet, 77)
    expect(rows(page)).to_have_count(0, timeout=SOON_MS)
    expect(page.locator("#none")).to_be_visible()
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(100)
    assert stayed(page)


def test_what_is_odd_about_a_node_is_marked(page: Page, fleet: Platform) -> None:
    page.goto("/nodes?q=web-55")
    expect(page.locator(".mark")).to_have_count(0)
    ping(fleet, 55, goodbye={"reason": "restart", "back_within_s": 600})
    expect(page.locator(".mark")).to_have_text(re.compile(r"restarting, back by \d\d:\d\d"), timeout=SOON_MS)
    page.reload()
    expect(page.locator(".mark")).to_have_text(re.compile(r"restarting, back by \d\d:\d\d"))
    ping(fleet, 55)
    expect(page.locator(".mark")).to_have_count(0, timeout=SOON_MS)


def test_an_ephemeral_node_that_ended_is_shown_when_asked_for(page: Page, fleet: Platform) -> None:
    httpx.post(fleet.url + "/api/v1/ping", json={"node": "job-1", "ephemeral": True}, headers=_key(fleet))
    page.goto("/nodes?q=job")
    expect(rows(page)).to_have_count(1)
    ended = {"node": "job-1", "ephemeral": True, "goodbye": {"reason": "stop"}}
    httpx.post(fleet.url + "/api/v1/ping", json=ended, headers=_key(fleet))
    expect(rows(page)).to_have_count(0, timeout=SOON_MS)
    page.locator("[data-state-filter=ended]").click()
    expect(rows(page)).to_have_count(1)
    expect(page).to_have_url(re.compile("state=ended"))


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/nodes")
    for key in ("j", "j", "j", "k"):
        page.keyboard.press(key)
    expect(page.locator("tr[data-active]")).to_have_attribute("data-name", "web-1")
    page.keyboard.press("/")
    page.keyboard.type("web-2 env=dev rack=r2")
    expect(page.locator("[data-state-filter=''] .count")).to_have_text("13")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    page.wait_for_url("**/nodes/web-2")
    page.go_back()
    expect(rows(page)).to_have_count(13)
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(rows(page)).to_have_count(100)


def test_a_young_node_opens_with_a_short_range(page: Page) -> None:
    page.goto("/nodes/web-3")
    expect(page.locator("[data-range='15m']")).to_have_attribute("aria-pressed", "true")


def test_the_list_works_without_scripts(browser: Browser, session: BrowserContext, fleet: Platform) -> None:
    context = browser.new_context(java_script_enabled=False, base_url=fleet.url, storage_state=session.storage_state())
    page = context.new_page()
    page.goto("/nodes")
    assert len(names(page)) == 100
    page.locator("[name=q]").fill("env=dev rack=r2")
    page.locator("[name=q]").press("Enter")
    expect(rows(page)).to_have_count(60)
    assert "q=env%3Ddev" in page.url
    page.locator("[data-sort=name]").click()
    expect(page.locator("#nodes tbody td.name a").first).to_have_text("web-238")
    page.goto("/nodes?sort=-cpu")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#span")).to_have_text("101–200 of 240")
    assert not page.locator("[data-state-filter=late]").is_visible()
    context.close()


def test_rows_made_by_the_server_and_by_the_browser_are_the_same(page: Page) -> None:
    """First the page's own rows; then the very same list, its rows made from the stream."""
    page.goto("/nodes?page=3")
    expect(page.locator("#span")).to_have_text("201–240 of 240")
    made = "(rows) => rows.map((row) => row.textContent.replace(/\\d+ s ago|now/, '').replace(/\\s+/g, ' ').trim())"
    expect(rows(page).first.locator("[data-figure=cpu] path")).to_have_attribute("d", re.compile("M"))
    before = rows(page).evaluate_all(made)
    page.goto("/nodes")
    page.locator("#pager [rel=next]").click()
    expect(page.locator("#span")).to_have_text("101–200 of 240")
    page.locator("#pager [rel=next]").click()
    expect(rows(page)).to_have_count(40)
    expect(rows(page).last).to_contain_text("79.7%", timeout=SOON_MS)
    assert rows(page).evaluate_all(made) == before
