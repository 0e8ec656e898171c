"""The pure parts of the pages' scripts, in the browser that runs them."""

import random
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from dashboards import static
from dashboards.format import Unit, ago, duration, number
from domain.query import Formula, Graph, Query, Threshold, as_json, to_url
from tests.integration.pages.site import Site

BERLIN = "Europe/Berlin"
SPRING_S, AUTUMN_S = 1_774_746_000, 1_792_890_000  # 2026-03-29 and 2026-10-25, 01:00 UTC: clocks change there


@pytest.fixture(scope="module")
def page(site: Site) -> Iterator[Page]:
    """A page of ours in Berlin, for its modules."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_context(timezone_id=BERLIN).new_page()
        opened.goto(f"{site.url}/sign-in")
        yield opened
        browser.close()


def call(page: Page, module: str, function: str, *arguments: Any) -> Any:
    """What an exported function answers."""
    script = "async ([url, name, given]) => (await import(url))[name](...given)"
    return page.evaluate(script, [static.url_for(module), function, list(arguments)])


def call_all(page: Page, module: str, function: str, calls: list[list[Any]]) -> list[Any]:
    """The same for many calls at once."""
    script = (
        "async ([url, name, all]) => { const m = await import(url); return all.map((given) => m[name](...given)); }"
    )
    found: list[Any] = page.evaluate(script, [static.url_for(module), function, calls])
    return found


def test_browser_and_server_say_the_same_number(page: Page) -> None:
    chance = random.Random(1)
    values = [chance.choice((-1, 1)) * 10 ** chance.uniform(-9, 17) for _ in range(2_000)]
    values += [n / 8 for n in range(-400, 400)] + [0.0, 99.95, 999.5, 1023.5, 9_999.0, 10_000.0, 119.5]
    cases = [(value, unit) for value in values for unit in Unit]
    said = call_all(page, "format.js", "number", [[value, str(unit)] for value, unit in cases])
    assert [(case, theirs) for case, theirs in zip(cases, said, strict=True) if number(*case) != theirs] == []


def test_browser_and_server_say_the_same_age_and_duration(page: Page) -> None:
    chance = random.Random(2)
    values = [10 ** chance.uniform(-1, 9) for _ in range(1_000)] + [0.0, 0.5, 59.5, 60.0, 3_600.0, 86_400.0]
    calls = [[value] for value in values]
    assert call_all(page, "format.js", "ago", calls) == [ago(value) for value in values]
    assert call_all(page, "format.js", "duration", calls) == [duration(value) for value in values]


RUNS = [
    ("nothing", [], []),
    ("one sample", [100], [[0, 0]]),
    ("two samples", [0, 60], [[0, 1]]),
    ("two samples far apart", [0, 600], [[0, 0], [1, 1]]),
    ("steady", [0, 10, 20, 30], [[0, 3]]),
    ("one late sample is no gap", [0, 10, 20, 45, 55], [[0, 4]]),
    ("a gap", [0, 10, 20, 60, 70, 80], [[0, 2], [3, 5]]),
    ("alone between two gaps", [0, 10, 20, 100, 200, 210, 220], [[0, 2], [3, 3], [4, 6]]),
    ("sparse, then recorded", [0, 100, 200, 300, 310, 320, 330, 340, 350, 360], [[0, 2], [3, 9]]),
    ("a cadence slower than the step", [0, 60, 120, 180, 400], [[0, 3], [4, 4]]),
]


@pytest.mark.parametrize(("ts", "runs"), [case[1:] for case in RUNS], ids=[case[0] for case in RUNS])
def test_gaps_are_gaps(page: Page, ts: list[int], runs: list[list[int]]) -> None:
    assert call(page, "traces.js", "runs", ts, 10) == runs


HOUR_S, DAY_S = 3_600, 86_400
TIMES = [
    ("an hour", AUTUMN_S, HOUR_S, 480, "utc", ["01:00", "01:10", "01:20", "01:30", "01:40", "01:50", "02:00"]),
    ("seconds", AUTUMN_S, 60, 256, "utc", ["01:00:00", "01:00:15", "01:00:30", "01:00:45", "01:01:00"]),
    ("a day", AUTUMN_S - 3 * DAY_S - 3 * HOUR_S, DAY_S, 320, "local", ["Oct 22", "06:00", "12:00", "18:00", "Oct 23"]),
    ("clocks back", AUTUMN_S - HOUR_S, 4 * HOUR_S, 320, "local", ["02:00", "02:00", "03:00", "04:00", "05:00"]),
    ("clocks forth", SPRING_S - HOUR_S, 3 * HOUR_S, 256, "local", ["01:00", "03:00", "04:00", "05:00"]),
    ("a grid of three hours", AUTUMN_S - 4 * HOUR_S, 9 * HOUR_S, 256, "local", ["Oct 25", "03:00", "06:00"]),
    ("days", AUTUMN_S, 7 * DAY_S, 256, "utc", ["Oct 26", "Oct 28", "Oct 30", "Nov 1"]),
    ("a year", AUTUMN_S, 365 * DAY_S, 320, "utc", ["2027", "Apr", "Jul", "Oct"]),
]


@pytest.mark.parametrize(
    ("from_s", "length_s", "width", "zone", "texts"), [case[1:] for case in TIMES], ids=[case[0] for case in TIMES]
)
def test_times_along_the_foot(page: Page, from_s: int, length_s: int, width: int, zone: str, texts: list[str]) -> None:
    ticks = call(page, "ticks.js", "timeTicks", from_s, from_s + length_s, width, zone)
    assert ticks["texts"] == texts
    assert ticks["values"] == sorted(set(ticks["values"]))


SCALES = [
    ("percent that fits", 3, 40, "percent", ["0%", "25%", "50%", "75%", "100%"]),
    ("percent that does not", 0, 250, "percent", ["0%", "100%", "200%", "300%"]),
    ("bytes by powers of two", 0, 7 * 2**30, "bytes", ["0 B", "2 GiB", "4 GiB", "6 GiB", "8 GiB"]),
    ("bytes far from zero", 1.8 * 2**20, 2.2 * 2**20, "bytes", ["1.8 MiB", "1.9 MiB", "2 MiB", "2.1 MiB", "2.2 MiB"]),
    ("rates without the slash", 0, 900_000, "bytes_per_s", ["0 B", "256 KiB", "512 KiB", "768 KiB", "1 MiB"]),
    ("far from zero", 95, 100, "count", ["90", "95", "100", "105"]),
    ("flat", 2, 2, "count", ["0", "0.5", "1", "1.5", "2"]),
    ("nothing at all", 0, 0, "count", ["0", "0.5", "1"]),
    ("below zero", -8, -2, "celsius", ["-8 °C", "-6 °C", "-4 °C", "-2 °C"]),
    ("days of uptime", 0, 400_000, "seconds", ["0 s", "2d", "4d", "6d"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("least", "most", "unit", "texts"), [case[1:] for case in SCALES], ids=[case[0] for case in SCALES]
)
def test_values_up_the_side(page: Page, least: float, most: float, unit: str, texts: list[str]) -> None:
    ticks = call(page, "ticks.js", "valueTicks", least, most, unit)
    assert ticks["texts"] == texts
    assert ticks["limits"][0] <= least and most <= ticks["limits"][1]


RANGES = [
    ("", {"last": "1h", "lengthS": 3_600}),
    ("?range=15m", {"last": "15m", "lengthS": 900}),
    ("?range=90m", {"last": "90m", "lengthS": 5_400}),
    ("?range=0m", {"last": "1h", "lengthS": 3_600}),
    ("?range=<b>", {"last": "1h", "lengthS": 3_600}),
    ("?from=100&to=200", {"fromS": 100, "toS": 200}),
    ("?from=200&to=100", {"last": "1h", "lengthS": 3_600}),
    ("?from=x&to=200", {"last": "1h", "lengthS": 3_600}),
]


@pytest.mark.parametrize(("search", "found"), RANGES, ids=[case[0] or "none" for case in RANGES])
def test_a_range_is_read_from_the_address(page: Page, search: str, found: dict[str, Any]) -> None:
    assert call(page, "range.js", "parse", search) == found


def stood(*steps: tuple[str, float, float]) -> list[dict[str, Any]]:
    """Periods as the server tells them."""
    return [{"standing": standing, "from_s": from_s, "to_s": to_s} for standing, from_s, to_s in steps]


BANDS = [
    ("online is not shaded", stood(("online", 0, 100)), []),
    ("a share of the window", stood(("online", 0, 50), ("late", 50, 60), ("online", 60, 100)), [("late", 0.5, 0.6)]),
    (
        "one after the other",
        stood(("late", 0, 10), ("offline", 10, 100)),
        [("late", 0, 0.1), ("offline", 0.1, 1)],
    ),
    (
        "what no eye could part is one",
        stood(("late", 10, 20), ("online", 20, 20.05), ("late", 20.05, 30)),
        [("late", 0.1, 0.3)],
    ),
    (
        "thin ones become one of the worse",
        stood(("late", 10, 10.05), ("offline", 10.05, 10.1), ("online", 10.1, 100)),
        [("offline", 0.1, 0.101)],
    ),
]


@pytest.mark.parametrize(("periods", "shaded"), [case[1:] for case in BANDS], ids=[case[0] for case in BANDS])
def test_states_become_bands(page: Page, periods: list[dict[str, Any]], shaded: list[tuple[str, float, float]]) -> None:
    found = call(page, "history.js", "bands", periods, 0, 100)
    assert [one["standing"] for one in found] == [standing for standing, _, _ in shaded]
    edges = [edge for one in found for edge in (one["from"], one["to"])]
    assert edges == pytest.approx([edge for _, start, end in shaded for edge in (start, end)])


def test_bands_are_a_gradient_that_browsers_take(page: Page) -> None:
    assert call(page, "history.js", "gradient", []) == "none"
    some = [{"standing": "late", "from": 0.5, "to": 0.5}, {"standing": "offline", "from": 0.6, "to": 0.9}]
    text = call(page, "history.js", "gradient", some)
    assert page.evaluate("text => CSS.supports('background', text)", text)


def test_a_window_cuts_periods(page: Page) -> None:
    periods = stood(("online", 0, 50), ("late", 50, 60), ("online", 60, 100))
    assert call(page, "history.js", "within", periods, 55, 70) == stood(("late", 55, 60), ("online", 60, 70))
    assert call(page, "history.js", "within", periods, 100, 200) == []


def test_the_share_online_is_never_rounded_up_to_all_of_it(page: Page) -> None:
    assert call(page, "history.js", "onlineShare", []) is None
    periods = stood(("online", 0, 75), ("away", 75, 100))
    assert call(page, "history.js", "onlineShare", periods) == 0.75
    shares = [1, 0.99999, 0.5, 0]
    assert call_all(page, "history.js", "percent", [[share] for share in shares]) == ["100%", "99.99%", "50%", "0%"]


def test_browser_and_server_write_the_same_address(page: Page) -> None:
    chance = random.Random(3)
    text = "abc=!~,:/&?#%+'\"()*;@$[]{}|\\^` <>äß€😀-_."
    words = ["".join(chance.choices(text, k=9)) for _ in range(300)]
    graphs = [
        Graph(
            (
                Query(
                    "A",
                    "net.bytes",
                    (f"x={word}",),
                    chance.choice(["avg", "rate"]),
                    chance.choice([None, (), ("a", "b")]),
                ),
                Query("B", "b", across="sum", top=chance.choice([None, 7]), hidden=True),
            ),
            (Formula("F1", f"A / {number} + B"),),
            ("1d", "1w"),
            chance.choice(["lines", "stack"]),
            chance.choice([True, False]),
            chance.choice([None, "bytes"]),
            (Threshold(number, word), Threshold(number + 0.5)),
        )
        for number, word in enumerate(words)
    ]
    written = call_all(page, "graph.js", "toUrl", [[as_json(graph)] for graph in graphs])
    assert written == [to_url(graph) for graph in graphs]


@pytest.mark.parametrize(
    ("least", "most", "unit", "texts"),
    [
        (3, 70, "count", ["1", "2", "5", "10", "20", "50", "100"]),
        (0.002, 8e4, "count", ["0.001", "0.1", "10", "1000", "100k"]),
        (2_000, 9_000_000, "bytes_per_s", ["1 KiB", "8 KiB", "64 KiB", "512 KiB", "4 MiB"]),
    ],
)
def test_powers_up_the_side(page: Page, least: float, most: float, unit: str, texts: list[str]) -> None:
    found = call(page, "chart_axes.js", "logTicks", least, most, unit)
    assert found["texts"] == texts
    low, high = found["limits"]
    assert 10**low <= least and most <= 10**high * 1.0001


DRAWN = """async ([url, size, x, y]) => {
    const { Axes } = await import(url);
    const plot = document.createElement("div");
    new Axes(plot).draw(size, x, y);
    const told = (one) => [one.textContent, one.getAttribute("x"), one.getAttribute("y")];
    return [plot.querySelector("path").getAttribute("d"), [...plot.querySelectorAll("text")].map(told)];
}"""


@pytest.mark.parametrize(
    ("values", "limits", "is_log", "rows"),
    [
        ([0, 25, 100], [0, 100], False, [108, 83, 8]),
        ([1, 10, 100], [0, 2], True, [108, 58, 8]),
        ([0, 1, 2, 3], [3.5, -0.5], False, [21, 46, 71, 96]),  # a heatmap's rows, from top to bottom
    ],
)
def test_a_grid_lies_where_its_values_are(
    page: Page, values: list[float], limits: list[float], is_log: bool, rows: list[int]
) -> None:
    x = {"values": [1_000, 1_050], "texts": ["a", ""], "limits": [1_000, 1_100]}
    y = {"values": values, "texts": [str(value) for value in values], "limits": limits, "isLog": is_log}
    size = {"width": 170, "height": 132}
    path, words = page.evaluate(DRAWN, [static.url_for("axes.js"), size, x, y])
    assert path == "M52.5 8v100M102.5 8v100" + "".join(f"M52 {row + 0.5}h100" for row in rows)
    beside = [[str(value), "48", str(row + 4)] for value, row in zip(values, rows, strict=True)]
    assert words == [["a", "52", "123"], ["", "102", "123"], *beside]
