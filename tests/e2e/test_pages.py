"""The pages in Chromium, on a running platform with a real agent: open, zoom, change range and theme, watch it grow.

METRIST_SCREENSHOT=1 also writes the README's picture.
"""

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.platforms import Platform

PICTURE = Path(__file__).parents[2] / "docs" / "screenshot.png"
CPU = "[data-metric='cpu.usage_percent']"

NEWEST = """metric => {
    const plot = document.querySelector(`[data-metric='${metric}'] .js-plotly-plot`);
    return Math.max(...plot.data.flatMap(trace => trace.x.map(x => +new Date(x))));
}"""
RANGES = """() => [...document.querySelectorAll(".js-plotly-plot")]
    .slice(0, 4).map(plot => plot.layout.xaxis.range.map(String).join())"""


@dataclass
class Watched:
    """A page, with what it said and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def series_steps(self) -> list[int]:
        """How many seconds each bucket has that was asked for: window by points, of whole reads of the CPU graph."""
        found = []
        for url in self.requests:
            asked = parse_qs(urlsplit(url).query)
            if "/api/v1/series" in url and "cpu.usage_percent" in asked.get("metric", []) and "points" in asked:
                found.append(int((float(asked["to"][0]) - float(asked["from"][0])) / float(asked["points"][0])))
        return found


@pytest.fixture(scope="module")
def node(platform: Platform) -> str:
    """This machine's own node, with an hour of history behind it so that there is something to zoom into."""
    platform.wait_until(lambda: bool(nodes_of(platform)), 30)
    (name,) = nodes_of(platform)
    now_s = int(time.time())
    metrics = [f"cpu.usage_percent{labels}" for labels in ("", '{core="0"}', '{core="1"}')] + ["mem.used_percent"]
    snapshots = [
        {"node": name, "ts": ts_s, "metrics": {key: 20 + 5 * n + (ts_s // 60) % 13 for n, key in enumerate(metrics)}}
        for ts_s in range(now_s - 3_600, now_s - 60, 10)
    ]
    answer = httpx.post(
        platform.url + "/api/v1/snapshots", json=snapshots, headers={"Authorization": f"Bearer {platform.key}"}
    )
    assert answer.status_code == 202 and answer.json()["refused"] == 0
    return name


def nodes_of(platform: Platform) -> set[str]:
    found = platform.get("/api/v1/metrics", params={"metric": "system.uptime_seconds"}).json()["series"]
    return {one["node"] for one in found}


@pytest.fixture(scope="module")
def session(browser: Browser, platform: Platform) -> Iterator[BrowserContext]:
    """Signed in by the link that `metrist up` printed: a look at the link does not use it up, the button does."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, color_scheme="light", timezone_id="UTC")
    page = context.new_page()
    for _ in range(2):
        page.goto(platform.sign_in_url)
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    page.close()
    yield context
    context.close()


@pytest.fixture
def watched(session: BrowserContext, platform: Platform) -> Iterator[Watched]:
    """A page whose console stays silent and that asks no other host."""
    found = Watched(session.new_page())
    found.page.on(
        "console", lambda said: found.complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("request", lambda asked: found.requests.append(asked.url))
    yield found
    found.page.close()
    assert found.complaints == []
    hosts = {urlsplit(url).netloc for url in found.requests if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(platform.url).netloc}


def open_node(watched: Watched, platform: Platform, node: str, query: str = "?range=1h") -> None:
    watched.page.goto(f"{platform.url}/nodes/{node}{query}")
    expect(watched.page.locator(f"{CPU} .plot .scatterlayer path.js-line").first).to_be_attached(timeout=15_000)
    expect(watched.page.locator(f"{CPU} .tier")).to_contain_text("steps")


def test_a_used_link_and_a_stranger_are_sent_to_sign_in(
    session: BrowserContext, browser: Browser, platform: Platform
) -> None:
    stranger = browser.new_context()
    page = stranger.new_page()
    page.goto(platform.url + "/nodes")
    assert "/sign-in" in page.url
    page.goto(platform.sign_in_url)
    button = page.locator("main button[type=submit]")
    if button.count():
        button.click()
    assert "/nodes" not in page.url
    stranger.close()


def test_the_list_shows_the_node_and_updates_itself(watched: Watched, platform: Platform, node: str) -> None:
    watched.page.goto(platform.url + "/nodes")
    row = watched.page.locator("tbody tr").filter(has_text=node).first
    expect(row).to_contain_text("online")
    expect(row).to_contain_text("%", timeout=15_000)
    name = f"by-itself-{time.time_ns()}"
    platform.post_snapshot(name, {"cpu.usage_percent": 50})
    expect(watched.page.locator("tbody tr").filter(has_text=name)).to_be_visible(timeout=15_000)
    watched.page.keyboard.press("/")
    watched.page.keyboard.type("by-itself")
    expect(watched.page.locator("tbody tr").filter(has_text=node)).not_to_be_visible()


def test_every_metric_of_a_node_has_its_graph(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    listed = platform.get("/api/v1/metrics", params={"node": node}).json()["series"]
    metrics = {one["metric"] for one in listed}
    shown = watched.page.locator("#graphs [data-metric]").evaluate_all("found => found.map(one => one.dataset.metric)")
    assert set(shown) >= metrics and len(metrics) > 25
    groups = watched.page.locator("#graphs section.group h2").all_inner_texts()
    assert {group.split()[0] for group in groups} >= {"CPU", "Load", "Memory", "Disk", "Network"}


def test_dragging_zooms_to_a_finer_step_on_all_graphs_and_back(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    page = watched.page
    before, address = watched.series_steps()[-1], page.url
    box = page.locator(f"{CPU} .plot").bounding_box()
    assert box
    y = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] * 0.5, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=8)
    page.mouse.up()
    expect(page).not_to_have_url(address)
    deadline = time.monotonic() + 10
    while watched.series_steps()[-1] >= before and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    assert watched.series_steps()[-1] < before
    ranges = page.evaluate(RANGES)
    assert len(set(ranges)) == 1
    page.go_back()
    expect(page).to_have_url(address)


def test_a_range_is_in_the_address_and_survives_a_reload(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    page = watched.page
    page.locator("[data-range='15m']").click()
    expect(page).to_have_url(re.compile("15m"))
    page.reload()
    expect(page.locator("[data-range='15m']")).to_have_attribute("aria-pressed", "true")
    for key in ("5m", "3h", "1d", "30d", "1y"):
        page.locator(f"[data-range='{key}']").click()
        expect(page.locator(f"[data-range='{key}']")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(f"{CPU} .tier")).to_contain_text("1 h rollup", timeout=15_000)


def test_the_theme_changes_and_is_remembered(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    page = watched.page
    colour = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(colour)
    page.locator("#theme").click()
    assert page.evaluate(colour) != light
    page.reload()
    assert page.evaluate(colour) != light
    page.locator("#theme").click()
    assert page.evaluate(colour) == light


def test_graphs_grow_by_themselves(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node, "?range=5m")
    before = watched.page.evaluate(NEWEST, "cpu.usage_percent")
    watched.page.wait_for_function(
        f"([metric, before]) => ({NEWEST})(metric) > before", arg=["cpu.usage_percent", before], timeout=40_000
    )


def test_pointing_at_one_graph_marks_the_same_time_on_all(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    box = watched.page.locator(f"{CPU} .plot").bounding_box()
    assert box
    watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    watched.page.wait_for_timeout(500)
    texts = watched.page.locator(".panel .legend .value").all_inner_texts()
    assert texts
    shown = watched.page.evaluate("() => document.querySelectorAll('.cursor:not([hidden])').length")
    assert shown >= 2


@pytest.mark.parametrize("path", ["/nodes", "/nodes/{node}", "/help/agent", "/docs/problems"])
def test_pages_fit_a_phone(watched: Watched, platform: Platform, node: str, path: str) -> None:
    watched.page.set_viewport_size({"width": 390, "height": 844})
    watched.page.goto(platform.url + path.format(node=node))
    assert watched.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_unknown_nodes_are_explained(session: BrowserContext, platform: Platform) -> None:
    page = session.new_page()
    answer = page.goto(platform.url + "/nodes/no-such-node")
    assert answer and answer.status == 404
    expect(page.locator("main")).to_contain_text("All nodes")
    page.close()


@pytest.mark.skipif("METRIST_SCREENSHOT" not in os.environ, reason="only on demand: METRIST_SCREENSHOT=1")
def test_take_the_picture_for_the_readme(watched: Watched, platform: Platform, node: str) -> None:
    open_node(watched, platform, node)
    watched.page.wait_for_timeout(2_000)
    watched.page.screenshot(path=PICTURE)
