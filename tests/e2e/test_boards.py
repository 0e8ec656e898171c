"""Chromium keeps a dashboard: built by hand, saved, shared, taken elsewhere, and two people at once."""

import json
import math
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.e2e.platforms import Platform

Box = tuple[int, int, int, int]
PLACES = """tiles => tiles.map(tile => ["x", "y", "w", "h"].map(name => +tile.style.getPropertyValue(`--${name}`)))"""


@pytest.fixture(scope="module")
def fed(platform: Platform) -> Platform:
    """A platform with an hour of two nodes behind it."""
    now_s = int(time.time())
    snapshots = [
        {
            "node": node,
            "ts": ts,
            "metrics": {"jobs.running": 40 + 30 * math.sin(ts / 300 + n), f'queue.waiting{{queue="q{n}"}}': 5 + n},
        }
        for n, node in enumerate(("worker-1", "worker-2"))
        for ts in range(now_s - 3_600, now_s, 10)
    ]
    headers = {"authorization": f"Bearer {platform.key}"}
    answer = httpx.post(f"{platform.url}/api/v1/snapshots", json=snapshots, headers=headers, trust_env=False)
    assert answer.status_code == 202
    platform.wait_until(lambda: "jobs.running" in platform.get("/api/v1/metrics").text)
    return platform


@pytest.fixture(scope="module")
def session(fed: Platform, browser: Browser) -> dict[str, object]:
    """What a signed-in browser keeps; by a link of its own."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(fed.new_sign_in_url())
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def browse(browser: Browser, session: dict[str, object]) -> Iterator[Callable[..., Page]]:
    """Opens a browser of somebody's own, signed in unless told otherwise; what it complains of fails the test."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(*, is_signed_in: bool = True, **options: object) -> Page:
        state = {"storage_state": session} if is_signed_in else {}
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 900}} | state | options))  # type: ignore[arg-type]
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.append(context)
        return context.new_page()

    yield open_one
    for context in opened:
        context.close()
    assert [words for words in complaints if " 409 " not in words] == []


def new_board(page: Page, platform: Platform, title: str) -> None:
    page.goto(f"{platform.url}/dashboards")
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Make it").click()
    expect(page.locator("#edit-bar")).to_be_visible()


def add_graph(page: Page, metric: str, title: str) -> None:
    page.locator("#edit-bar [data-add=graph]").click()
    editor = page.locator("#panel-editor")
    editor.get_by_label("Title").fill(title)
    editor.locator("[name=metric]").fill(metric)
    editor.get_by_label("Close").click()


def import_board(page: Page, platform: Platform, board: dict[str, object]) -> str:
    """The address of a dashboard made from JSON."""
    page.goto(f"{platform.url}/dashboards")
    page.locator("summary", has_text="Or paste its text").click()
    page.locator("textarea[name=text]").fill(json.dumps(board))
    page.get_by_role("button", name="Import it").click()
    page.wait_for_url(re.compile("/dashboards/[0-9a-f-]{36}"))
    return page.url


def board(title: str, match: str = "node=$node") -> dict[str, object]:
    graph = {"queries": [{"id": "A", "metric": "jobs.running", "match": [match]}]}
    panels = [
        {"type": "graph", "id": "jobs", "x": 0, "y": 0, "w": 8, "h": 7, "title": "Jobs of $node", "graph": graph},
        {"type": "text", "id": "about", "x": 8, "y": 0, "w": 4, "h": 7, "text": "## Who to call\n- **Ada**, *always*"},
    ]
    variables = [{"name": "node", "label": "node", "value": "worker-1"}]
    whole = {"format": "metrist/dashboard", "version": 1, "title": title, "variables": variables}
    return {**whole, "panels": panels}


def drag(page: Page, handle: Locator, by: tuple[int, int]) -> None:
    box = handle.bounding_box()
    assert box
    x, y = box["x"] + min(box["width"] / 2, 20), box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + by[0] / 2, y + by[1] / 2, steps=4)
    page.mouse.move(x + by[0], y + by[1], steps=4)
    page.wait_for_timeout(60)
    page.mouse.up()


def places(page: Page) -> list[Box]:
    found: list[Box] = [tuple(place) for place in page.locator(".tile").evaluate_all(PLACES)]
    return found


def drawn(page: Page, names: list[str]) -> None:
    """The graphs on the page show lines of these names."""
    expect(page.locator(".tile .legend .name")).to_have_text(names, timeout=15_000)


def test_a_dashboard_is_built_by_hand_and_kept(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    new_board(page, fed, "Workers")
    add_graph(page, "jobs.running", "Jobs")
    add_graph(page, "queue.waiting", "Queues")
    expect(page.locator(".tile .drawn")).to_have_count(2, timeout=15_000)
    assert places(page) == [(0, 0, 6, 6), (6, 0, 6, 6)]
    drag(page, page.locator(".tile", has_text="Jobs").locator("header"), (620, 40))
    expect(page.locator(".tile h3").first).to_have_text("Queues")
    assert places(page) == [(0, 0, 6, 6), (6, 0, 6, 6)]
    page.locator("[data-undo]").click()
    assert places(page) == [(0, 0, 6, 6), (6, 0, 6, 6)]
    drag(page, page.locator(".tile", has_text="Queues").locator("[data-act=size]"), (-310, 88))
    assert places(page)[1] == (6, 0, 3, 8)
    page.locator("[data-save]").click()
    expect(page.locator("#edit-bar")).to_be_hidden()
    page.reload()
    expect(page.locator(".tile h3")).to_have_text(["Jobs", "Queues"])
    assert places(page) == [(0, 0, 6, 6), (6, 0, 3, 8)]
    drawn(page, ["worker-1", "worker-2", "worker-1 · q0", "worker-2 · q1"])


def test_the_keyboard_moves_resizes_and_takes_back(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    import_board(page, fed, board("By keyboard"))
    page.keyboard.press("e")
    handle = page.locator("[data-id=about] [data-act=move]")
    handle.focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowDown")
    assert places(page) == [(0, 0, 8, 7), (8, 0, 3, 8)]
    expect(page.locator("#announce")).to_have_text("3 columns wide, 8 rows high")
    page.keyboard.press("ArrowRight")
    assert places(page)[1] == (9, 0, 3, 8)
    page.locator("[data-id=jobs] [data-act=move]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    assert places(page) == [(9, 0, 3, 8), (3, 8, 8, 7)] or not overlapping(places(page))
    page.keyboard.press("Delete")
    expect(page.locator(".tile")).to_have_count(1)
    page.keyboard.press("Control+z")
    expect(page.locator(".tile")).to_have_count(2)
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("[data-discard]").click()
    assert places(page) == [(0, 0, 8, 7), (8, 0, 4, 7)]


def overlapping(boxes: list[Box]) -> bool:
    cells = [(x + i, y + j) for x, y, w, h in boxes for i in range(w) for j in range(h)]
    return len(set(cells)) < len(cells)


def test_a_variable_is_in_the_address(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    address = import_board(page, fed, board("Variables"))
    drawn(page, ["worker-1"])
    choose(page, "worker-2")
    drawn(page, ["worker-2"])
    expect(page.locator("[data-id=jobs] h3")).to_have_text("Jobs of worker-2")
    assert parse_qs(urlsplit(page.url).query) == {"var.node": ["worker-2"]}
    page.locator("[data-range='3h']").click()
    assert page.get_by_label("Explore Jobs of worker-2").get_attribute("href") == (
        "/explore?A=jobs.running&A.match=node=worker-2&range=3h"
    )
    other = browse()
    other.goto(page.url)
    drawn(other, ["worker-2"])
    expect(other.locator("[data-range='3h']")).to_have_attribute("aria-pressed", "true")
    page.go_back()
    page.go_back()
    drawn(page, ["worker-1"])
    assert page.url == address
    choose(page, "All")
    drawn(page, ["worker-1", "worker-2"])


def choose(page: Page, value: str) -> None:
    """Take one value of the dashboard's variable, or all."""
    menu = page.locator("#variables .variable")
    menu.locator("summary").click()
    menu.get_by_role("button", name="All" if value == "All" else f"Only {value}", exact=True).click()
    expect(menu.locator("summary b")).to_have_text("all" if value == "All" else value)


def test_several_values_are_ticked_and_stand_in_the_address(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    address = import_board(page, fed, board("Several"))
    drawn(page, ["worker-1"])
    menu = page.locator("#variables .variable")
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.locator("li")).to_have_count(2)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(menu.get_by_label("worker-2", exact=True)).to_be_focused()
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    drawn(page, ["worker-1", "worker-2"])
    assert parse_qs(urlsplit(page.url).query) == {"var.node": ["worker-1", "worker-2"]}
    expect(page.locator("[data-id=jobs] h3")).to_have_text("Jobs of worker-1, worker-2")
    assert parse_qs(urlsplit(page.get_by_label("Explore Jobs").get_attribute("href") or "").query)["A.match"] == [
        "node=~worker-1|worker-2"
    ]
    page.reload()
    drawn(page, ["worker-1", "worker-2"])
    expect(menu.locator("summary b")).to_have_text("worker-1, worker-2")
    page.locator("#share").click()
    page.locator("input[name=fixed]").check()
    page.get_by_role("button", name="Make the link").click()
    anyone = browse(is_signed_in=False)
    anyone.goto(page.locator("section[aria-labelledby=link] pre").inner_text())
    drawn(anyone, ["worker-1", "worker-2"])
    expect(anyone.locator("#variables .variable summary b")).to_have_text("worker-1, worker-2")
    page.goto(address)
    drawn(page, ["worker-1"])


def test_a_link_shows_it_without_a_session_until_it_is_revoked(fed: Platform, browse: Callable[..., Page]) -> None:
    page, anyone = browse(), browse(is_signed_in=False)
    address = import_board(page, fed, board("Shared"))
    page.locator("#share").click()
    page.locator("input[name=note]").fill("the hall")
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("section[aria-labelledby=link] pre").inner_text()
    asked: list[str] = []
    anyone.on("request", lambda request: asked.append(urlsplit(request.url).path))
    anyone.goto(link)
    drawn(anyone, ["worker-1"])
    expect(anyone.locator("#edit, #share, .places, #more")).to_have_count(0)
    choose(anyone, "worker-2")
    drawn(anyone, ["worker-2"])
    token = link.rpartition("/")[2]
    assert {path for path in asked if path.startswith("/api/")} == {
        f"/api/v1/shared/{token}/query",
        f"/api/v1/shared/{token}/values",
    }
    anyone.goto(address)
    anyone.wait_for_url("**/sign-in?**")
    page.get_by_role("button", name="Revoke", exact=True).click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.locator("main")).to_contain_text("The link is revoked")
    answer = httpx.get(link, headers={"accept": "text/html"}, trust_env=False)
    assert answer.status_code == 404 and "There is nothing to see here" in answer.text


def test_it_travels_as_a_file(fed: Platform, browse: Callable[..., Page], tmp_path: Path) -> None:
    page = browse()
    first = import_board(page, fed, board("Travels"))
    page.locator("#more summary").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export as JSON").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert file.name == "travels.json"
    page.goto(f"{fed.url}/dashboards")
    page.locator("input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Import it").click()
    page.wait_for_url(re.compile("/dashboards/[0-9a-f-]{36}"))
    assert page.url != first
    drawn(page, ["worker-1"])
    expect(page.locator(".prose b")).to_have_text("Ada")


def test_of_two_editors_the_second_is_asked(fed: Platform, browse: Callable[..., Page]) -> None:
    ada, bob = browse(), browse()
    address = import_board(ada, fed, board("Contested"))
    bob.goto(address)
    for page, title in ((ada, "Hers"), (bob, "His")):
        page.locator("#edit").click()
        page.locator("[data-settings]").click()
        page.locator("#settings-editor").get_by_label("Title").fill(title)
        page.locator("#settings-editor").get_by_label("Close").click()
    ada.locator("[data-save]").click()
    expect(ada.locator("#edit-bar")).to_be_hidden()
    bob.locator("[data-save]").click()
    expect(bob.locator("#conflict")).to_contain_text("saved revision 2")
    bob.get_by_role("button", name="Go on editing").click()
    expect(bob.locator("#title")).to_have_text("His")
    bob.locator("[data-save]").click()
    bob.get_by_role("button", name="Save mine over it").click()
    expect(bob.locator("#edit-bar")).to_be_hidden()
    ada.goto(f"{address}/revisions")
    expect(ada.locator("tbody tr")).to_have_count(3)
    ada.locator("tr", has_text="Hers").get_by_role("button", name="Restore").click()
    expect(ada.locator("#title")).to_have_text("Hers")


def test_the_wall_shows_only_panels_and_fits_the_screen(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    address = import_board(page, fed, board("Wall"))
    page.keyboard.press("w")
    expect(page.locator("header.top")).to_be_hidden()
    assert parse_qs(urlsplit(page.url).query) == {"wall": ["1"]}
    drawn(page, ["worker-1"])
    page.wait_for_timeout(300)
    fits = "() => document.documentElement.scrollHeight <= innerHeight + 1"
    assert page.evaluate(fits), page.evaluate("() => [document.documentElement.scrollHeight, innerHeight]")
    page.reload()
    expect(page.locator("header.top")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("header.top")).to_be_visible()
    assert page.url == address


def test_a_phone_shows_one_panel_below_the_other(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse(viewport={"width": 390, "height": 844}, has_touch=True)
    import_board(page, fed, board("Phone"))
    drawn(page, ["worker-1"])
    boxes = [tile.bounding_box() for tile in page.locator(".tile").all()]
    assert all(box and box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_a_nodes_page_becomes_a_dashboard(fed: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    page.goto(f"{fed.url}/dashboards")
    page.evaluate("""() => {
        const form = Object.assign(document.createElement("form"), { method: "post", action: "/dashboards/from-node" });
        form.append(Object.assign(document.createElement("input"), { name: "node", value: "worker-2" }));
        document.body.append(form);
        form.submit();
    }""")
    page.wait_for_url(re.compile("/dashboards/[0-9a-f-]{36}"))
    expect(page.locator(".tile h3")).to_have_count(2)
    drawn(page, ["worker-2", "worker-2 · q1"])
