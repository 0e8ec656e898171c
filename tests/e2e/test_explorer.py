"""The explorer in Chromium: a graph made by hand, kept in its address, taken away as a file and as SQL."""

import csv
import io
import json
import re
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, StorageState, expect

from tests.e2e.accessibility import serious_problems
from tests.e2e.platforms import Platform, start_platform

NODES = ("web-1", "web-2", "db-1")
NOW_S = int(time.time()) // 60 * 60
DAY_S = 86_400

Open = Callable[..., Page]

PLANES = """() => {
    const { xaxis, yaxis } = document.querySelector("#chart .js-plotly-plot")._fullLayout;
    return [xaxis, yaxis].map((axis) => [axis._offset, Math.round(axis._length)]);
}"""
GRIDS = """() => {
    const { x, y, width, height } = document.querySelector("#chart .axes path").getBBox();
    return [[x, Math.round(width)], [Math.floor(y), Math.floor(height)]];
}"""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform with an hour of three nodes, the same hour of the day before, and a thousand metrics more."""
    started = start_platform(tmp_path_factory.mktemp("explorer"))
    with httpx.Client(base_url=started.url, headers={"Authorization": f"Bearer {started.key}"}, timeout=30) as agent:
        for from_s in (NOW_S - DAY_S - 3_600, NOW_S - 3_600):
            snapshots = [
                _snapshot(node, n, ts) for n, node in enumerate(NODES) for ts in range(from_s, from_s + 3_600, 10)
            ]
            assert agent.post("/api/v1/snapshots", json=snapshots).json()["refused"] == 0
        many = {f"plugin.number_{n:04}.value": n for n in range(1_000)}
        assert agent.post("/api/v1/snapshots", json={"node": "db-1", "ts": NOW_S, "metrics": many}).status_code == 202
        found = {"q": "number_0999"}
        started.wait_until(lambda: bool(agent.get("/api/v1/metrics/search", params=found).json()["metrics"]))
    yield started
    started.stop()


def _snapshot(node: str, n: int, ts: int) -> dict[str, object]:
    since_s = ts % DAY_S
    return {
        "node": node,
        "ts": ts,
        "metrics": {
            'cpu.usage_percent{core="0"}': 20 + 10 * n + since_s // 60 % 7,
            'cpu.usage_percent{core="1"}': 40 + 10 * n,
            "http.requests": since_s * 10 * (n + 1),
            "http.errors": since_s * (n + 1),
        },
    }


@pytest.fixture(scope="module")
def signed_in(browser: Browser, platform: Platform) -> StorageState:
    opened = browser.new_context()
    page = opened.new_page()
    page.goto(platform.sign_in_url)
    page.locator("main button[type=submit]").first.click()
    page.wait_for_url("**/nodes*")
    state = opened.storage_state()
    opened.close()
    return state


@pytest.fixture
def explore(browser: Browser, platform: Platform, signed_in: StorageState) -> Iterator[Open]:
    """Open the explorer with an address's query; its console stays silent."""
    complaints: list[str] = []
    contexts = []

    def open_page(query: str = "", waits: bool = True, **options: object) -> Page:
        look = {"viewport": {"width": 1280, "height": 1000}, "timezone_id": "UTC", **options}
        context = browser.new_context(storage_state=signed_in, base_url=platform.url, **look)  # type: ignore[arg-type]
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if _is_complaint(said) else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"/explore{query}")
        if waits:
            expect(page.locator("#chart .tier")).to_contain_text("steps", timeout=15_000)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _is_complaint(said: ConsoleMessage) -> bool:
    """Chromium itself remarks on every refusal; what a graph is refused for, the page says."""
    return said.type in ("error", "warning") and "status of 422" not in said.text


def names(page: Page) -> list[str]:
    return page.locator("#chart .line-table tbody .name").all_inner_texts()


def cells(page: Page, column: int) -> list[str]:
    return page.locator(f"#chart .line-table tbody td:nth-child({column})").all_inner_texts()


def suggested(page: Page) -> Locator:
    return page.locator(".suggestions:not([hidden]) [role=option]")


def drawn(page: Page, kind: str = "scatterlayer path") -> int:
    return page.locator(f"#chart .plot .{kind}").count()


def test_a_metric_is_found_among_a_thousand_and_drawn_by_keyboard_alone(explore: Open) -> None:
    page = explore(waits=False)
    expect(page.get_by_text("Begin with a metric")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("usage cpu")
    expect(suggested(page)).to_have_count(1)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(6, timeout=15_000)
    assert "A=cpu.usage_percent" in page.url
    assert drawn(page) >= 6
    page.reload()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(6, timeout=15_000)
    expect(page.locator("[name=metric]")).to_have_value("cpu.usage_percent")


def test_suggestions_lead_to_a_condition_and_escape_closes_them(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&range=1h")
    field = page.get_by_role("combobox", name="Conditions of query A")
    field.fill("co")
    suggested(page).filter(has_text="core").click()
    expect(suggested(page)).to_have_count(2)
    field.press("Escape")
    expect(suggested(page)).to_have_count(0)
    field.fill("core=1")
    field.press("Enter")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(3)
    assert "A.match=core=1" in page.url
    field.fill("node=~web-.*")
    field.press("Enter")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(2)
    page.get_by_role("button", name="Conditions of query A: remove core=1").click()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(4)
    field.fill("nonsense")
    field.press("Enter")
    assert field.evaluate("field => field.validationMessage").startswith("Write label=value")


def test_series_are_grouped_and_the_largest_kept(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&range=1h")
    page.locator("[name=lines]").select_option("by")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(3)
    assert names(page) == ["db-1", "web-1", "web-2"]
    page.locator("[name=across]").select_option("max")
    expect(page.locator("#chart .line-table tbody td:nth-child(5)").first).to_have_text("60.0%")
    page.locator("[name=top]").select_option("5")
    assert "A.by=node&A.across=max&A.top=5" in page.url
    page.locator("[name=lines]").select_option("all")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(3)
    expect(page.locator("[name=lines]")).to_have_value("by")


def test_a_formula_between_two_rates(explore: Open) -> None:
    page = explore("?A=http.errors&A.over=rate&range=1h")
    page.get_by_role("button", name="+ Query").click()
    page.locator("[data-id=B] [name=metric]").fill("http.requests")
    page.locator("[data-id=B] [name=metric]").press("Enter")
    page.locator("[data-id=B] [name=over]").select_option("rate")
    page.get_by_role("button", name="+ Formula").click()
    page.locator("[data-id=F1] [name=expr]").fill("A / B * 100")
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(9)
    for name in ("A", "B"):
        page.get_by_role("button", name=f"Query {name} is shown").click()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(3)
    page.locator("#unit").select_option("percent")
    expect(page.locator("#chart .line-table tbody td:nth-child(4)").first).to_have_text("10.0%")
    page.locator("[data-id=F1] [name=expr]").fill("A / C")
    expect(page.locator("#chart .failure")).to_contain_text("speaks of C")


def test_every_way_to_draw(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.by=node&range=1h&threshold=45:warm")
    expect(page.locator("#chart .plot .shapelayer path")).to_have_count(1)
    for kind, shape in (
        ("Area", "scatterlayer path"),
        ("Stack", "scatterlayer path"),
        ("Heatmap", "heatmaplayer image"),
    ):
        page.get_by_role("button", name=kind, exact=True).click()
        expect(page.locator(f"#chart[data-kind={kind.lower()}]")).to_be_visible()
        expect(page.locator(f"#chart .plot .{shape}").first).to_be_attached()
    expect(page.locator("#chart .heat-scale")).to_be_visible()
    page.get_by_role("button", name="Figures", exact=True).click()
    expect(page.locator("#chart .stat.passed")).to_have_count(1)
    expect(page.locator("#chart .stat.passed")).to_contain_text("db-1 warm")
    page.get_by_role("button", name="Table", exact=True).click()
    page.get_by_role("button", name="Max", exact=True).click()
    assert names(page)[0] == "db-1"
    page.get_by_role("button", name="Lines", exact=True).click()
    page.get_by_role("button", name="Log", exact=True).click()
    expect(page.locator("#chart .plot .axes text").first).to_be_attached()
    assert page.evaluate(PLANES) == page.evaluate(GRIDS), "lines are drawn where the grid says"
    assert "log=1" in page.url and "threshold=45:warm" in page.url


def test_a_line_alone_and_all_again(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.by=node&range=1h")
    first = page.locator("#chart .line-table tbody button").first
    first.click()
    assert [one.get_attribute("aria-pressed") for one in page.locator("#chart tbody button").all()] == [
        "true",
        "false",
        "false",
    ]
    page.keyboard.press("Enter")
    expect(page.locator("#chart tbody button[aria-pressed=true]")).to_have_count(3)


def test_dragging_zooms_and_back_leads_back(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.by=node&range=1h")
    address = page.url
    box = page.locator("#chart .plot").bounding_box()
    assert box
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.4, y)
    expect(page.locator("#chart .cursor")).to_be_visible()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, y, steps=6)
    page.mouse.up()
    page.wait_for_url("**from=*to=*")
    assert "A=cpu.usage_percent&A.by=node" in page.url
    page.locator("#chart .plot").dblclick()
    page.wait_for_url(address)


def test_the_day_before_lies_beside_today(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.by=&range=1h")
    page.get_by_role("button", name="Day before").click()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(2)
    assert names(page) == ["cpu.usage_percent", "cpu.usage_percent (1d before)"]
    assert cells(page, 4)[1] != "–"
    page.get_by_role("button", name="Day before").click()
    expect(page.locator("#chart .line-table tbody tr")).to_have_count(1)


def test_values_are_taken_away_as_files(explore: Open) -> None:
    page = explore(f"?A=cpu.usage_percent&A.by=node&A.across=max&from={NOW_S - 1_800}&to={NOW_S - 600}")
    with page.expect_download() as download:
        page.locator("#share summary").click()
        page.locator("[data-share=csv]").click()
    rows = list(csv.reader(io.StringIO(download.value.path().read_text())))
    assert rows[0] == ["time", "db-1", "web-1", "web-2"]
    assert {row[2] for row in rows[1:-1]} <= {"40.0", ""}
    with page.expect_download() as download:
        page.locator("#share summary").click()
        page.locator("[data-share=json]").click()
    kept = json.loads(download.value.path().read_text())
    assert [line["name"] for line in kept["lines"]] == rows[0][1:] and kept["count"] == len(rows) - 1


def test_sql_and_links_are_copied(explore: Open, platform: Platform) -> None:
    page = explore("?A=cpu.usage_percent&A.by=node&range=1h")
    page.locator("#share summary").click()
    page.locator("[data-share=sql]").click()
    page.locator("#sql [data-copy]").click()
    expect(page.locator("#sql [data-copy]")).to_have_text("Copied")
    assert "FROM samples" in page.evaluate("navigator.clipboard.readText()")
    page.keyboard.press("Escape")
    page.locator("#share summary").click()
    page.locator("[data-share=moment]").click()
    expect(page.locator("#announce")).to_have_text("Link copied")
    link = page.evaluate("navigator.clipboard.readText()")
    other = explore(link.removeprefix(f"{platform.url}/explore"))
    assert names(other) == names(page) and "range=" not in link and "from=" in link


def test_a_graph_is_put_on_a_dashboard_and_stands_out_there(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.by=node&A.across=p95&range=1h")
    page.locator("#share summary").click()
    page.get_by_role("button", name="Add to dashboard").click()
    page.wait_for_url("**/dashboards/add?**")
    assert serious_problems(page) == []
    page.get_by_label("Title of a new dashboard").fill("Kept")
    page.get_by_label("Title of the panel").fill("Busy cores")
    page.get_by_role("button", name="Add it").click()
    page.wait_for_url(re.compile(r"/dashboards/[0-9a-f-]{36}\?range=1h#panel-"))
    tile = page.locator(".tile", has_text="Busy cores")
    expect(tile).to_be_focused()
    expect(tile.locator(".legend .name")).to_have_text(sorted(NODES), timeout=15_000)
    expect(tile.locator(".notes:not(.gaps)")).to_contain_text("p95 of the values that series have")


def test_a_page_tells_its_keys(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&range=1h")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys of this page")
    expect(keys.locator("dt")).to_contain_text(["[", "-", "]", "O", "←", "?"])
    expect(keys).to_contain_text("Events: what happened")
    assert serious_problems(page) == []
    page.keyboard.press("Escape")
    expect(keys).to_be_hidden()
    page.locator("[name=metric]").press("?")
    expect(keys).to_be_hidden()
    page.locator("#menu summary").click()
    page.get_by_role("button", name="Keyboard ?").click()
    expect(keys).to_be_visible()


def test_percentiles_say_of_what_they_are_and_how_far_back_they_go(explore: Open) -> None:
    page = explore("?A=cpu.usage_percent&A.match=core=1&range=1h")
    page.locator("[name=over]").select_option("p99")
    expect(page.locator("#chart .notes").first).to_have_text("A: p99 of the single samples in each step")
    expect(page.locator("#chart .tier")).to_contain_text("raw samples")
    expect(page.locator("#chart .line-table tbody td:nth-child(4)").first).to_have_text("60.0%")
    page.locator("[data-range='90d']").click()
    expect(page.locator("#chart .failure")).to_contain_text("kept for 30 days")


@pytest.mark.parametrize(
    ("query", "said"), [("?A=cpu&A.top=0", "from 1 to"), ("?kind=pie", "kind"), ("?A=c%20u", "metric")]
)
def test_an_address_that_cannot_be_read_is_explained(explore: Open, query: str, said: str) -> None:
    page = explore(query, waits=False)
    expect(page.locator("#problem")).to_contain_text(said)
    expect(page.locator("[name=metric]")).to_be_visible()


def test_a_metric_without_samples_says_so(explore: Open) -> None:
    page = explore("?A=no.such.metric&range=1h")
    expect(page.locator("#chart.empty")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?A=cpu.usage_percent&A.match=core=0&B=http.errors&F1=A/B",
        "?A=cpu.usage_percent&kind=stat",
        "?A=cpu.usage_percent&kind=heatmap",
    ],
)
def test_axe_finds_no_serious_problem(explore: Open, scheme: str, query: str) -> None:
    page = explore(query, waits=bool(query), color_scheme=scheme)
    assert serious_problems(page) == []


@pytest.mark.parametrize(
    "query", ["", "?A=cpu.usage_percent&A.by=node,core&kind=table", "?A=cpu.usage_percent&F1=A*2&kind=stack"]
)
def test_it_fits_a_phone(explore: Open, query: str) -> None:
    page = explore(query, waits=bool(query), viewport={"width": 390, "height": 844}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
