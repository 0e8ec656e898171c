"""Monitors in Chromium with real agents: written, tried, pushed by label, graphed; broken, and taken back by itself."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.platforms import Platform, clean_environment

SOON_MS = 30_000
ROLLED_OUT_MS = 90_000
GOOD = """\
gauge("shop.orders", 41 + param("more"), {shop = facts.node})
status("shop", "ok", "orders come in")
log("looked at " .. facts.node)
"""
BROKEN = """\
local orders = nil
gauge("shop.orders", orders.count)
"""


class Agents:
    """Agents of this machine under several names."""

    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform = platform
        self.folder = folder
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, node: str, *arguments: str) -> None:
        env = clean_environment() | {"METRIST_KEY": self.platform.key}
        command = [sys.executable, "-P", "-m", "agent", "--server", self.platform.url, "--node", node]
        command += ["--state-dir", str(self.folder / node), "--interval", "2", *arguments]
        with (self.folder / f"{node}.log").open("wb") as log:
            self.started.append(subprocess.Popen(command, env=env, cwd=self.folder, stdout=log, stderr=log))

    def stop(self) -> None:
        for each in self.started:
            each.terminate()
        for each in self.started:
            each.wait(10)


@pytest.fixture
def agents(start: Callable[..., Platform], tmp_path: Path) -> Iterator[Agents]:
    """Three agents; two are shops, and one of them all allows no monitors."""
    quick = {"METRIST_PING_INTERVAL_S": "2"}
    made = Agents(start(env=quick), tmp_path)
    made.start("shop-1", "--label", "kind=shop", "--allow-monitors", "yes")
    made.start("shop-2", "--label", "kind=shop", "--allow-monitors", "yes")
    made.start("office-1", "--label", "kind=office", "--allow-monitors", "yes")
    yield made
    made.stop()


@pytest.fixture
def page(browser: Browser, agents: Agents) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(agents.platform.new_sign_in_url())
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/nodes")
    for node in ("shop-1", "shop-2", "office-1"):
        page.get_by_role("link", name=node).first.wait_for(timeout=SOON_MS)
    yield page
    assert complaints == []
    context.close()


def test_a_monitor_from_the_first_line_to_the_way_back(page: Page, agents: Agents) -> None:
    url = agents.platform.url
    page.goto(f"{url}/monitors/new")
    page.locator('input[name="name"]').fill("orders")
    page.locator("#script").fill("local x = 1\nif x then\n  gauge('a', 1)\n")
    expect(page.locator("#script-says")).to_contain_text("Line 4: 'end' expected", timeout=SOON_MS)
    expect(page.locator(".gutter .wrong")).to_have_text("4")
    page.locator("#script").fill(GOOD)
    expect(page.locator(".gutter .wrong")).to_have_count(0, timeout=SOON_MS)
    assert page.locator(".paint").inner_text().rstrip("\n") == GOOD.rstrip("\n")
    page.locator('textarea[name="parameters"]').fill("more: number(0..9) = 1")
    more = page.locator('[name="p.more"]')
    expect(more).to_have_attribute("placeholder", "1", timeout=SOON_MS)
    more.fill("12")
    more.blur()
    expect(page.locator("#parameters")).to_contain_text("more is a number from 0 to 9, not 12", timeout=SOON_MS)
    more.fill("")
    more.blur()
    expect(page.locator("#parameters .refused")).to_have_count(0, timeout=SOON_MS)
    page.locator('input[name="interval_s"]').fill("5")
    page.locator('input[name="timeout_s"]').fill("5")
    page.locator('input[name="match"]').fill("kind=shop")
    expect(page.locator("#target")).to_contain_text("2 nodes now, 2 online, 2 would run it", timeout=SOON_MS)

    page.locator('input[name="node"]').fill("shop-2")
    page.get_by_role("button", name="Dry run").click()
    expect(page.locator("#tried")).to_contain_text("It ran well on what is recorded of shop-2", timeout=SOON_MS)
    expect(page.locator("#tried")).to_contain_text("2 new series: 1 on each of 2 nodes")
    page.get_by_role("button", name="Trial run").click()
    expect(page.locator("#tried")).to_contain_text("It ran well on shop-2", timeout=SOON_MS)
    expect(page.locator("#tried")).to_contain_text("looked at shop-2")

    page.get_by_role("button", name="Save and push").click()
    page.wait_for_url("**/monitors/orders?said=pushed")
    expect(page.locator(".steps-of-rollout .past")).to_have_count(4, timeout=ROLLED_OUT_MS)
    expect(page.locator('[data-run="ok"]')).to_have_count(2, timeout=SOON_MS)
    expect(page.locator("tr[data-node]")).to_have_count(2)
    expect(page.locator('tr[data-node="shop-1"]')).to_contain_text("orders come in")

    page.goto(f"{url}/nodes/shop-1")
    graph = page.locator("[data-metric='shop.orders']")
    graph.scroll_into_view_if_needed(timeout=SOON_MS)
    graph.locator(".js-plotly-plot").wait_for(timeout=SOON_MS)
    page.goto(f"{url}/nodes/office-1")
    page.locator("[data-metric='cpu.usage_percent']").first.wait_for(timeout=SOON_MS)
    expect(page.locator("[data-metric='shop.orders']")).to_have_count(0)

    page.goto(f"{url}/monitors/orders/edit")
    page.locator("#script").fill(BROKEN)
    page.locator('input[name="note"]').fill("count them anew")
    page.get_by_role("button", name="Save and push").click()
    page.wait_for_url("**/monitors/orders?said=pushed")
    expect(page.locator(".rollout")).to_contain_text("Version 2 was halted", timeout=ROLLED_OUT_MS)
    expect(page.locator(".rollout")).to_contain_text("line 2: attempt to index a nil value")
    expect(page.locator(".rollout")).to_contain_text("All nodes run version 1")
    expect(page.locator('[data-run="ok"]')).to_have_count(2, timeout=ROLLED_OUT_MS)
    page.get_by_role("link", name="History of its runs").click()
    expect(page.locator("tbody")).to_contain_text("line 2: attempt to index a nil value")
    expect(page.locator("tbody")).to_contain_text("orders come in")
    page.goto(f"{url}/settings/audit")
    expect(page.locator("main")).to_contain_text("Version 2 of the monitor orders was halted, and back to version 1")


def test_a_node_that_comes_later_gets_it_and_one_that_stops_matching_drops_it(page: Page, agents: Agents) -> None:
    url = agents.platform.url
    page.goto(f"{url}/monitors/new")
    page.locator('input[name="name"]').fill("late")
    page.locator("#script").fill('gauge("late.value", 1)')
    page.locator('input[name="interval_s"]').fill("5")
    page.locator('input[name="timeout_s"]').fill("5")
    page.locator('input[name="match"]').fill("kind=shop")
    page.get_by_role("button", name="Save and push").click()
    expect(page.locator(".steps-of-rollout .past")).to_have_count(4, timeout=ROLLED_OUT_MS)
    agents.start("shop-3", "--label", "kind=shop", "--allow-monitors", "yes")
    expect(page.locator('tr[data-node="shop-3"] [data-run="ok"]')).to_have_count(1, timeout=SOON_MS)

    page.goto(f"{url}/monitors/late/edit")
    page.locator('input[name="match"]').fill("shop-1")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/monitors/late?said=saved")
    expect(page.locator("tr[data-node]")).to_have_count(1)
    answer = agents.platform.get("/api/v1/monitors", params={"node": "shop-3"})
    assert answer.json()["monitors"] == []
    kept = agents.folder / "shop-3" / "monitors" / "set.json"
    agents.platform.wait_until(lambda: '"monitors":[]' in kept.read_text(), SOON_MS / 1000)
