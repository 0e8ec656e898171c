"""How soon graphs are on the screen, in Chromium, with a year of data behind them.

A graph counts as painted when its new data is drawn and the browser has made the frame that shows it. Times are the
browser's own: from the click, or the end of the drag, to that frame. The machine that draws is the one that serves.
"""

import shutil
import statistics
import time
from collections.abc import Iterator

from playwright.sync_api import Page, sync_playwright

from bench import year
from bench.nodes_page import sign_in
from bench.platform import Platform
from bench.report import Report

TRIES, WARM_UP = 20, 2
LEAST_TRIES, AT_MOST_S = 8, 60
"""A machine that is busy with other things gets fewer tries; the figure's name says so."""
GRAPHS = 20
VIEWPORT = {"width": 1920, "height": 1500}
"""Five rows of four graphs, and the bars above them."""

PAINTED = """(isDone) => new Promise((done) => {
    const whole = () => requestAnimationFrame(() => setTimeout(() => done(performance.timeOrigin + performance.now())));
    const look = () => (isDone() ? whole() : requestAnimationFrame(look));
    look();
})"""
ALL_DRAWN = f"""() => {{
    const painted = {PAINTED};
    const shown = (panel) => panel.getBoundingClientRect().top < innerHeight && panel.getBoundingClientRect().height;
    const isQuiet = (panel) => !panel.classList.contains("busy") && panel.querySelector(".tier").textContent;
    const ready = (panel) => panel.querySelector(".plot.drawn") && isQuiet(panel);
    return painted(() => {{
        const panels = [...document.querySelectorAll("#graphs .panel")].filter(shown);
        return panels.length >= {GRAPHS} && panels.every(ready);
    }});
}}"""
NOTE = """(kind) => document.addEventListener(kind, (event) =>
    sessionStorage.setItem("bench-at", performance.timeOrigin + event.timeStamp), { capture: true, once: true })"""
NOTED = "() => Number(sessionStorage.getItem('bench-at'))"


def measure(report: Report, platform: Platform) -> None:
    """Every figure of one platform that has the year."""
    cookies = sign_in(platform)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        context = browser.new_context(viewport=VIEWPORT)
        context.add_cookies([{"name": key, "value": value, "url": platform.url} for key, value in cookies.items()])
        page = context.new_page()
        _tell(report, "node page of 20 graphs, click to painted", _clicks(page, platform.url), "≤ 1,000 p95")
        for length in ("1h", "30d", "1y"):
            took = _zooms(page, f"{platform.url}/nodes/{year.LOOKED_AT[0]}?range={length}")
            _tell(report, f"zoom into {length}, 20 graphs to painted", took, "≤ 300 p95")
        _tell(report, "top 10 of 10,000 series over 30 d, click to painted", _explore(page, platform.url), "≤ 500 p95")
        browser.close()


def _clicks(page: Page, url: str) -> list[float]:
    """From the list of nodes to a node's graphs of the last hour, one node after the other."""
    took = []
    for turn in _turns():
        page.goto(f"{url}/nodes")
        link = page.locator(f"a[href$='/nodes/{year.LOOKED_AT[turn % len(year.LOOKED_AT)]}']").first
        link.wait_for()
        page.evaluate(NOTE, "click")
        link.click()
        page.wait_for_url("**/nodes/node-*")
        took.append(page.evaluate(ALL_DRAWN) - page.evaluate(NOTED))
    return took[WARM_UP:]


def _zooms(page: Page, address: str) -> list[float]:
    """Drags of one width, each somewhere else, and back again."""
    took = []
    page.goto(address)
    page.evaluate(ALL_DRAWN)
    for turn in _turns():
        took.append(_zoom(page, 0.15 + 0.5 * (turn * 7 % 24) / 24))
        page.go_back()
        page.evaluate(ALL_DRAWN)
    return took[WARM_UP:]


def _zoom(page: Page, at: float) -> float:
    box = page.locator("#graphs .plot").nth(5).bounding_box()
    assert box
    y = box["y"] + box["height"] / 3
    page.mouse.move(box["x"] + box["width"] * at, y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * (at + 0.2), y, steps=4)
    page.evaluate(NOTE, "pointerup")
    page.mouse.up()
    painted: float = page.evaluate(ALL_DRAWN)
    noted: float = page.evaluate(NOTED)
    return painted - noted


EXPLORED = f"""() => {{
    const painted = {PAINTED};
    return painted(() => document.querySelector("#chart .plot.drawn") && !document.querySelector("#chart.busy"));
}}"""


def _explore(page: Page, url: str) -> list[float]:
    """From the click on "30d" to the lines of the largest ten series; what the clicks in between show is not timed."""
    took = []
    page.goto(f"{url}/explore?A={year.MANY}&A.top=10&range=1d")
    page.evaluate(EXPLORED)
    for _ in _turns():
        page.evaluate(NOTE, "click")
        page.click("[data-range='30d']")
        took.append(page.evaluate(EXPLORED) - page.evaluate(NOTED))
        assert page.locator("#chart .legend tbody tr").count() == year.SHOWN, "these are not the ten lines"
        page.click("[data-range='1d']")
        page.evaluate(EXPLORED)
    return took[WARM_UP:]


def _turns() -> Iterator[int]:
    until_s = time.monotonic() + AT_MOST_S
    for turn in range(TRIES + WARM_UP):
        if turn >= LEAST_TRIES + WARM_UP and time.monotonic() > until_s:
            return
        yield turn


def _tell(report: Report, name: str, took_ms: list[float], aim: str) -> None:
    if len(took_ms) < TRIES:
        name = f"{name} ({len(took_ms)} tries)"
    report.figure(f"{name} p50", statistics.median(took_ms), "ms")
    report.figure(f"{name} p95", statistics.quantiles(took_ms, n=20)[-1], "ms", aim)
