"""The live view in Chromium: a button on the page, a button on a graph, pause, keep, stop."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from agent.config import default_node
from tests.e2e.platforms import Platform

CPU = "[data-metric='cpu.usage_percent']"
NEWEST = f"""() => {{
    const plot = document.querySelector("{CPU} .js-plotly-plot");
    return Math.max(...plot.data.flatMap(trace => trace.x.filter(Number.isFinite)));
}}"""
LIVE = "#live[data-stage='live']"
SOON_MS = 20_000


@pytest.fixture
def page(browser: Browser, platform: Platform) -> Iterator[Page]:
    """The page of this machine's node, with graphs drawn; it must say nothing to the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(platform.new_sign_in_url())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/nodes")
    page.goto(f"{platform.url}/nodes/{default_node()}")
    page.locator(f"{CPU} .js-plotly-plot").wait_for(timeout=SOON_MS)
    yield page
    assert complaints == []
    context.close()


def test_the_whole_page_goes_live_pauses_and_stops(page: Page) -> None:
    page.locator("[data-live-all]").click()
    page.locator(LIVE).wait_for(timeout=SOON_MS)
    expect(page.locator(f"{CPU} .tier")).to_contain_text("live", timeout=SOON_MS)
    before = page.evaluate(NEWEST)
    page.wait_for_function(f"before => ({NEWEST})() >= before + 3", arg=before, timeout=SOON_MS)
    expect(page.locator("#live-stage")).to_contain_text("a point every 1 s")

    page.locator("[data-live-pause]").click()
    expect(page.locator("#live-stage")).to_contain_text("Paused")
    frozen = page.evaluate(NEWEST)
    page.wait_for_timeout(2_500)
    assert page.evaluate(NEWEST) == frozen
    page.locator("[data-live-pause]").click()
    page.wait_for_function(f"before => ({NEWEST})() >= before + 2", arg=frozen, timeout=SOON_MS)

    page.locator("[data-live-all]").click()
    expect(page.locator("#live-line")).to_be_hidden()
    expect(page.locator(f"{CPU} .tier")).to_contain_text("raw", timeout=SOON_MS)


def test_one_graph_goes_live_beside_the_others(page: Page) -> None:
    with page.expect_request("**/live/stream**") as asked:
        page.locator(f"{CPU} [data-live-one]").click()
    assert "metric=cpu.usage_percent&node=" in asked.value.url
    page.locator(LIVE).wait_for(timeout=SOON_MS)
    expect(page.locator(".panel.streams")).to_have_count(1)
    page.locator(f"{CPU} [data-live-one]").click()
    expect(page.locator(".panel.streams")).to_have_count(0)


def test_what_is_kept_opens_again_by_its_link(page: Page, platform: Platform) -> None:
    page.locator(f"{CPU} [data-live-one]").click()
    page.locator(LIVE).wait_for(timeout=SOON_MS)
    page.locator("[data-live-every]").select_option("500")
    page.wait_for_timeout(1_000)
    page.locator("[data-live-keep]").select_option("1")
    expect(page.locator("#recording")).to_contain_text("left", timeout=SOON_MS)
    page.wait_for_timeout(4_000)
    page.get_by_role("button", name="Stop recording").click()
    expect(page.locator("#recording")).to_contain_text("kept", timeout=SOON_MS)
    link = page.locator("#recording a").get_attribute("href")
    page.wait_for_timeout(2_500)  # until the spool has it in ClickHouse
    page.goto(platform.url + str(link))
    page.locator(f"{CPU} .js-plotly-plot").wait_for(timeout=SOON_MS)
    assert "from=" in page.url
    points = (
        f'document.querySelector("{CPU} .js-plotly-plot").data.reduce((n, trace) => Math.max(n, trace.x.length), 0)'
    )
    page.wait_for_function(f"() => {points} >= 4", timeout=SOON_MS)

    page.get_by_role("link", name="Recordings").click()
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("Without a name")
    row.get_by_role("button", name="Rename").click()
    page.get_by_role("dialog").get_by_role("textbox").fill("the slow deploy")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Its name is changed.")).to_be_visible()
    expect(row).to_contain_text("the slow deploy")
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("It is off the list")).to_be_visible()
    expect(page.get_by_text("the slow deploy")).to_have_count(0)


def test_leaving_for_another_range_ends_the_live_view(page: Page) -> None:
    page.locator("[data-live-all]").click()
    page.locator(LIVE).wait_for(timeout=SOON_MS)
    page.locator("[data-range='1h']").click()
    expect(page.locator("#live")).to_have_attribute("data-stage", "")
