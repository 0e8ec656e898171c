"""What happened while graphs were drawn, in Chromium: bands, words at the pointer, a list; wherever graphs are."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect
from sqlalchemy import Engine, select

from domain.condition_specs import MetricRule, Spec
from domain.conditions import Reading, Severity, advance, first
from domain.evaluation import Move, group
from domain.ids import AccountId
from domain.nodes import NodeState
from domain.query import Query
from schema import conditions, nodes, statuses
from schema.control.engine import open_control, reading
from schema.control.tables import api_keys
from schema.statuses import Judged
from tests.e2e.accessibility import serious_problems
from tests.e2e.platforms import Platform

METRIC = "pumps.flow"
GONE, HERE = "pump-1", "pump-2"
CONDITION = "Flow is high"
BANDS = "() => getComputedStyle(document.querySelector('.chart .canvas')).backgroundImage"
LANE = "() => getComputedStyle(document.querySelector('.chart .lane')).backgroundImage"


NOW = datetime.now(UTC)
HOUR = f"from={int(NOW.timestamp()) - 3_600}&to={int(NOW.timestamp())}"
FIRED_S = int(NOW.timestamp() - 300) // 10 * 10
FIRED = (FIRED_S + 4 - int(NOW.timestamp()) + 3_600) / 3_600
"""Where in that hour the condition fired; ten seconds later it was looked at again, and all was well."""


@pytest.fixture(scope="module")
def told(platform: Platform) -> Platform:
    """A platform on which one of two nodes was silent, and known to be offline, from 40 to 20 minutes ago.

    The other one's flow was too high for a moment five minutes ago.
    """
    now = NOW
    control = open_control(platform.settings()["METRIST_DATABASE_URL"])
    with reading(control) as conn:
        key_id = platform.key.split("_")[1]
        account_id = conn.execute(select(api_keys.c.account_id).where(api_keys.c.id == key_id)).scalar_one()
    for name in (GONE, HERE):
        nodes.register(control, account_id, name, None, now - timedelta(hours=2))
    node = nodes.find(control, account_id, GONE)
    assert node
    for minutes, state in ((39, NodeState.LATE), (38, NodeState.OFFLINE), (20, NodeState.ONLINE)):
        at = now - timedelta(minutes=minutes)
        nodes.transition(control, account_id, node.id, state, cause="no contact for 30 s", now=at)
    _fire(control, account_id, datetime.fromtimestamp(FIRED_S, UTC))
    control.dispose()
    now_s = int(now.timestamp())
    snapshots = [
        {"node": node, "ts": ts, "metrics": {METRIC: 5.0 + ts % 60}}
        for node in (GONE, HERE)
        for ts in range(now_s - 3_600, now_s, 10)
        if node == HERE or not now_s - 2_400 < ts < now_s - 1_200
    ]
    headers = {"authorization": f"Bearer {platform.key}"}
    answer = httpx.post(f"{platform.url}/api/v1/snapshots", json=snapshots, headers=headers, trust_env=False)
    assert answer.status_code == 202
    platform.wait_until(lambda: METRIC in platform.get("/api/v1/metrics").text)
    return platform


def _fire(control: Engine, account_id: AccountId, at: datetime) -> None:
    """As evaluation does it."""
    rule = MetricRule(Query("A", METRIC, by=("node",)), 60, 10, ">", 1e6)
    spec = Spec(rule, severity=Severity.CRITICAL)
    condition = conditions.create(control, account_id, CONDITION, spec, at, actor=f"user/{uuid4()}")
    reading = Reading(2e6, is_over=True, is_clear=False, severity=Severity.CRITICAL)
    after, transition = advance(first(at), condition.spec.policy, reading, at)
    move = Move(group({"node": HERE}), first(at), after, transition, at)
    judged = Judged([condition], at, at + timedelta(seconds=10), 10, [(condition, move)])
    statuses.record(control, account_id, [judged], datetime.now(UTC))


@pytest.fixture(scope="module")
def session(told: Platform, browser: Browser) -> dict[str, object]:
    context = browser.new_context()
    page = context.new_page()
    page.goto(told.new_sign_in_url())
    page.locator("main button[type=submit]").click()
    page.wait_for_url("**/nodes")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def browse(browser: Browser, session: dict[str, object]) -> Iterator[Callable[..., Page]]:
    """Opens a page; what its console complains of fails the test."""
    opened: list[BrowserContext] = []
    complaints: list[str] = []

    def open_one(**options: object) -> Page:
        look = {"viewport": {"width": 1280, "height": 900}, "timezone_id": "UTC", "storage_state": session} | options
        context = browser.new_context(**look)  # type: ignore[arg-type]
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        opened.append(context)
        return context.new_page()

    yield open_one
    for context in opened:
        context.close()
    assert complaints == []


def overlays(page: Page) -> list[Request]:
    """The requests for what happened, as they are made."""
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if request.url.endswith("/api/v1/overlay") else None)
    return asked


def point_at(page: Page, share: float) -> None:
    box = page.locator(".panel .plot").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 52 + (box["width"] - 70) * share, box["y"] + box["height"] / 2)


def cursor(page: Page) -> str:
    page.wait_for_timeout(100)
    return page.locator(".panel .cursor").first.get_attribute("data-told") or ""


def test_a_gap_says_why_at_the_pointer_below_the_graph_and_to_a_screen_reader(
    told: Platform, browse: Callable[..., Page]
) -> None:
    page = browse()
    asked = overlays(page)
    page.goto(f"{told.url}/explore?A={METRIC}&A.match=node={GONE}&range=1h")
    expect(page.locator(".chart .gaps")).to_contain_text(f"{GONE} was late, then offline", timeout=15_000)
    assert "linear-gradient" in page.evaluate(BANDS)
    point_at(page, 0.5)
    assert f"{GONE} offline: no contact for 30 s" in cursor(page)
    point_at(page, 0.95)
    assert "offline" not in cursor(page)
    expect(page.locator(".chart .plot")).to_have_attribute("aria-label", re.compile("No samples from .* was late"))
    page.locator(".chart .plot").focus()
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
    expect(page.locator("#announce")).to_contain_text("offline")
    assert len(asked) == 1


def test_of_several_nodes_a_lane_tells_and_the_list_names_them(told: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    page.goto(f"{told.url}/explore?A={METRIC}&range=1h")
    expect(page.locator("#happened summary b")).not_to_have_text("none", timeout=15_000)
    assert page.evaluate(BANDS) == "none"
    assert "linear-gradient" in page.evaluate(LANE)
    page.locator("#happened summary").click()
    rows = page.locator("#happened .events li", has_text=GONE)
    expect(rows.filter(has_text="Offline, no contact for 30 s")).to_have_count(1)
    expect(rows.filter(has_text="Online again")).to_have_count(1)
    assert rows.locator("a").first.get_attribute("href") == f"/nodes/{GONE}"
    assert serious_problems(page) == []


def test_it_is_switched_off_in_the_address(told: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    asked = overlays(page)
    page.goto(f"{told.url}/explore?A={METRIC}&A.match=node={GONE}&range=1h")
    expect(page.locator(".chart .gaps")).to_be_visible(timeout=15_000)
    page.keyboard.press("o")
    expect(page.locator("[data-events]")).to_have_attribute("aria-pressed", "false")
    expect(page.locator(".chart .gaps, #happened")).to_have_count(2)
    expect(page.locator(".chart .gaps")).to_be_hidden()
    assert parse_qs(urlsplit(page.url).query)["events"] == ["0"]
    assert page.evaluate(BANDS) == "none"
    page.reload()
    expect(page.locator(".chart .tier")).to_contain_text("steps", timeout=15_000)
    page.wait_for_timeout(600)
    expect(page.locator("[data-events]")).to_have_attribute("aria-pressed", "false")
    assert len(asked) == 1
    page.locator("[data-events]").click()
    expect(page.locator(".chart .gaps")).to_be_visible()
    assert "events" not in parse_qs(urlsplit(page.url).query)


def test_a_condition_that_fired_is_told_on_explorer_and_node_page(told: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    page.goto(f"{told.url}/explore?A={METRIC}&A.match=node={HERE}&{HOUR}")
    expect(page.locator("#happened summary b")).not_to_have_text("none", timeout=15_000)
    assert "linear-gradient" in page.evaluate(LANE)
    point_at(page, FIRED)
    assert f"{CONDITION} ({HERE}): firing" in cursor(page)
    page.locator("#happened summary").click()
    expect(page.locator("#happened .events li", has_text=CONDITION)).to_contain_text("firing")
    page.goto(f"{told.url}/explore?A=other.metric&A.match=node={HERE}&{HOUR}")
    expect(page.locator(".chart.empty")).to_be_visible(timeout=15_000)
    page.wait_for_timeout(600)
    expect(page.locator("#happened .events li", has_text=CONDITION)).to_have_count(0)
    page.goto(f"{told.url}/nodes/{HERE}?{HOUR}")
    page.wait_for_function(
        "() => getComputedStyle(document.querySelector('.panel .lane')).backgroundImage.includes('lin')"
    )
    point_at(page, FIRED)
    assert cursor(page) == f"{CONDITION}: firing"


def board(told: Platform, page: Page, **more: object) -> str:
    """A dashboard of two graphs, one for each node; returns its address."""
    panels = [
        {
            "type": "graph", "id": f"p{n}", "x": 6 * n, "y": 0, "w": 6, "h": 7, "title": node,
            "graph": {"queries": [{"id": "A", "metric": METRIC, "match": [f"node={node}"]}]},
        }
        for n, node in enumerate((GONE, HERE))
    ]  # fmt: skip
    document = {"format": "metrist/dashboard", "version": 1, "title": "Pumps", "panels": panels} | more
    page.goto(f"{told.url}/dashboards")
    page.locator("details:has([name=text]) summary").click()
    page.locator("[name=text]").fill(json.dumps(document))
    page.get_by_role("button", name="Import it").click()
    page.wait_for_url(re.compile("/dashboards/[0-9a-f-]{36}"))
    return page.url


def test_a_dashboard_asks_once_and_each_graph_shows_its_own(told: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    asked = overlays(page)
    board(told, page)
    expect(page.locator("#happened summary b")).not_to_have_text("none", timeout=15_000)
    bands = page.locator(".chart .canvas").evaluate_all("all => all.map(one => getComputedStyle(one).backgroundImage)")
    assert ["linear-gradient" in one for one in bands] == [True, False]
    assert len(asked) == 1 and sorted(asked[0].post_data_json["nodes"]) == [GONE, HERE]
    point_at(page, 0.5)
    assert f"{GONE} offline" in cursor(page)
    page.locator("[data-events]").click()
    assert parse_qs(urlsplit(page.url).query)["events"] == ["0"]
    page.go_back()
    expect(page.locator("[data-events]")).to_have_attribute("aria-pressed", "true")


def test_a_dashboard_says_itself_whether_it_shows_what_happened(told: Platform, browse: Callable[..., Page]) -> None:
    page = browse()
    asked = overlays(page)
    address = board(told, page, events=False)
    expect(page.locator(".chart .tier").first).to_contain_text("steps", timeout=15_000)
    page.wait_for_timeout(600)
    assert asked == []
    page.keyboard.press("e")
    page.locator("[data-settings]").click()
    page.get_by_label("Events lie over the graphs").check()
    page.locator("#settings-editor").get_by_label("Close").click()
    page.locator("[data-save]").click()
    expect(page.locator("#edit-bar")).to_be_hidden()
    page.goto(address)
    expect(page.locator("#happened summary b")).not_to_have_text("none", timeout=15_000)


def test_a_link_tells_nothing_of_what_happened(told: Platform, browse: Callable[..., Page]) -> None:
    page, anyone = browse(), browse(storage_state=None)
    board(told, page)
    page.locator("#share").click()
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("section[aria-labelledby=link] pre").inner_text()
    asked = overlays(anyone)
    anyone.goto(link)
    expect(anyone.locator(".chart .tier").first).to_contain_text("steps", timeout=15_000)
    anyone.wait_for_timeout(600)
    expect(anyone.locator("[data-events], #happened")).to_have_count(0)
    assert asked == []
