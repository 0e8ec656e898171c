"""Chromium makes a condition, sees it fire by itself, acknowledges it, sees it recover, and reads why."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect

from tests.e2e.platforms import Platform

METRIC, NODE = "shop.orders_waiting", "shop-1"
FIRES_WITHIN_S, SOON_MS = 15.0, 20_000


class Shop:
    """A node that sends one value each half second, whatever it is just now."""

    def __init__(self, platform: Platform) -> None:
        self.value = 5.0
        self._platform = platform
        self._stopping = threading.Event()

    @contextmanager
    def open(self) -> Iterator["Shop"]:
        sending = threading.Thread(target=self._send)
        sending.start()
        try:
            yield self
        finally:
            self._stopping.set()
            sending.join()

    def _send(self) -> None:
        while not self._stopping.wait(0.5):
            self._platform.post_snapshot(NODE, {METRIC: self.value})


@pytest.fixture
def shop(platform: Platform) -> Iterator[Shop]:
    with Shop(platform).open() as shop:
        platform.wait_until(lambda: METRIC in platform.get("/api/v1/metrics").text)
        yield shop


@pytest.fixture(scope="module")
def session(platform: Platform, browser: Browser) -> StorageState:
    """What a signed-in browser keeps; by a link of its own."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(platform.new_sign_in_url())
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def page(session: StorageState, browser: Browser) -> Iterator[Page]:
    """Signed in; whatever the browser complains of fails the test."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900}, storage_state=session)
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield context.new_page()
    context.close()
    assert complaints == []


def test_a_condition_from_its_graph_to_its_end(platform: Platform, shop: Shop, page: Page) -> None:
    page.goto(f"{platform.url}/conditions/new?A={METRIC}&A.by=node&A.over=last")
    expect(page.locator("#says")).to_have_text("Now give it a limit.")
    expect(page.locator("#chart .plot.drawn")).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("Orders wait")
    page.get_by_role("textbox", name="Limit").fill("50")
    page.locator("select[name=window_s]").select_option("10")
    page.get_by_text("Silence, message").click()
    page.locator("select[name=every_s]").select_option("2")
    page.get_by_role("textbox", name="Message").fill("{{ labels.node }} has {{ value }} waiting")
    expect(page.locator("#says")).to_contain_text("is above 50")
    expect(page.locator("#backtest")).to_contain_text("0 notices")
    page.get_by_role("button", name="Make it").click()
    expect(page.get_by_role("status").filter(has_text="It is judged from now on")).to_be_visible()

    page.goto(f"{platform.url}/conditions")
    expect(page.get_by_role("heading", name="All is ok")).to_be_visible()
    row = page.locator("tr[data-group]", has_text="Orders wait")
    crossed_s = time.monotonic()
    shop.value = 90
    expect(row.locator(".status[data-state=firing]")).to_be_visible(timeout=SOON_MS)
    assert time.monotonic() - crossed_s < FIRES_WITHIN_S
    expect(row).to_contain_text(NODE)
    expect(row).to_contain_text("90")

    row.get_by_label("A note").fill("looking into it")
    row.get_by_role("button", name="Acknowledge").click()
    expect(row).to_contain_text("is on it: “looking into it”")
    expect(row.get_by_role("button", name="Acknowledge")).to_have_count(0)

    row.get_by_role("link", name="Orders wait").click()
    expect(page.locator("#chart .plot.drawn")).to_be_visible()
    expect(page.locator("#timeline")).to_contain_text(f"{NODE} fires")
    shop.value = 5
    expect(page.locator("#timeline")).to_contain_text(f"{NODE} is ok again", timeout=SOON_MS)
    expect(page.locator("#now")).to_contain_text("ok")

    page.locator("#timeline li", has_text=f"{NODE} fires").get_by_role("link", name="Why?").click()
    main = page.locator("main")
    expect(main).to_contain_text(re.compile(r"firing with 90"))
    expect(main).to_contain_text("last value of shop.orders_waiting over 10 s is above 50")
    expect(main).to_contain_text("no channel to tell")
    expect(page.locator("#chart .plot.drawn")).to_be_visible()


def test_nodes_are_watched_by_a_form_without_a_metric(platform: Platform, page: Page) -> None:
    page.goto(f"{platform.url}/conditions/new?about=nodes")
    expect(page.locator("input[name=metric]")).to_be_hidden()
    page.get_by_role("textbox", name="Name").fill("Somebody is gone")
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("main")).to_contain_text("Fires when a node is offline")
