"""The pure parts of a dashboard's scripts, in the browser that runs them: the grid, and the words of text panels."""

import random
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, sync_playwright

from dashboards import static
from domain.dashboards import COLUMNS, as_value, bind
from domain.query import Graph, Query, parse_matcher
from tests.integration.pages.site import Site

Panel = dict[str, Any]


@pytest.fixture(scope="module")
def page(site: Site) -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page()
        opened.goto(f"{site.url}/sign-in")
        yield opened
        browser.close()


def call(page: Page, module: str, function: str, calls: list[list[Any]]) -> list[Any]:
    """What an exported function answers, for each of many calls."""
    script = (
        "async ([url, name, all]) => { const m = await import(url); return all.map((given) => m[name](...given)); }"
    )
    found: list[Any] = page.evaluate(script, [static.url_for(module), function, calls])
    return found


def boxes(panels: list[Panel]) -> list[tuple[int, ...]]:
    return [tuple(panel[name] for name in ("x", "y", "w", "h")) for panel in panels]


def overlapping(panels: list[Panel]) -> bool:
    cells = [(x + i, y + j) for x, y, w, h in boxes(panels) for i in range(w) for j in range(h)]
    return len(set(cells)) < len(cells)


def some_panels(chance: random.Random) -> list[Panel]:
    sizes = [(chance.randint(1, COLUMNS), chance.randint(1, 8)) for _ in range(chance.randint(1, 12))]
    return [
        {"id": str(n), "x": chance.randint(0, COLUMNS - w), "y": chance.randint(0, 20), "w": w, "h": h}
        for n, (w, h) in enumerate(sizes)
    ]


def test_panels_never_overlap_leave_the_grid_or_hang_in_the_air(page: Page) -> None:
    chance = random.Random(3)
    settled = call(page, "grid.js", "settle", [[some_panels(chance)] for _ in range(200)])
    wanted = [
        chance.choice(panels)
        | {name: chance.randint(-4, 20) for name in chance.sample(["x", "y", "w", "h"], chance.randint(1, 4))}
        for panels in settled
    ]
    placed = call(page, "grid.js", "place", [list(pair) for pair in zip(settled, wanted, strict=True)])
    for before, moved, panels in zip(settled, wanted, placed, strict=True):
        assert not overlapping(panels)
        assert all(x >= 0 and y >= 0 and w >= 1 and h >= 1 and x + w <= COLUMNS for x, y, w, h in boxes(panels))
        assert {panel["id"] for panel in panels} == {panel["id"] for panel in before}
        sizes = {panel["id"]: (panel["w"], panel["h"]) for panel in before if panel["id"] != moved["id"]}
        assert sizes == {panel["id"]: (panel["w"], panel["h"]) for panel in panels if panel["id"] != moved["id"]}
    again = call(page, "grid.js", "settle", [[panels] for panels in placed])
    assert [sorted(boxes(panels)) for panels in again] == [sorted(boxes(panels)) for panels in placed]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"id": "a", "x": 6, "y": 1, "w": 6, "h": 4}, {"a": (6, 0), "b": (0, 0), "c": (0, 4)}),
        ({"id": "a", "x": 0, "y": 3, "w": 6, "h": 4}, {"c": (0, 0), "a": (0, 4), "b": (6, 0)}),
        ({"id": "a", "x": 1, "y": 0, "w": 6, "h": 4}, {"a": (1, 0), "b": (6, 4), "c": (0, 4)}),
        ({"id": "a", "x": 0, "y": 0, "w": 6, "h": 6}, {"a": (0, 0), "b": (6, 0), "c": (0, 6)}),
    ],
    ids=["beside: they change places", "below: past its half", "a little aside: room is made", "larger"],
)
def test_where_panels_go(page: Page, wanted: Panel, expected: dict[str, tuple[int, int]]) -> None:
    panels = [{"id": name, "x": x, "y": y, "w": 6, "h": 4} for name, x, y in (("a", 0, 0), ("b", 6, 0), ("c", 0, 4))]
    (placed,) = call(page, "grid.js", "place", [[panels, wanted]])
    assert {panel["id"]: (panel["x"], panel["y"]) for panel in placed} == expected


def test_a_new_panel_takes_the_first_hole(page: Page) -> None:
    panels = [{"id": "a", "x": 0, "y": 0, "w": 8, "h": 2}, {"id": "b", "x": 0, "y": 2, "w": 12, "h": 2}]
    found = call(page, "grid.js", "room", [[panels, 4, 2], [panels, 5, 1], [[], 6, 6]])
    assert found == [{"x": 8, "y": 0}, {"x": 0, "y": 4}, {"x": 0, "y": 0}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One\n## Two", "<h2>One</h2><h3>Two</h3>"),
        ("- a\n- b\n\n1. c", "<ul><li>a</li><li>b</li></ul><ol><li>c</li></ol>"),
        ("a\nb\n\nc", "<p>a<br>b</p><p>c</p>"),
        ("**b** *i* `c*d*`", "<p><b>b</b> <i>i</i> <code>c*d*</code></p>"),
        ("```\n# no\n```", "<pre># no</pre>"),
        ("> said", "<blockquote>said</blockquote>"),
        ("[us](/nodes)", '<p><a href="/nodes">us</a></p>'),
        ("[x](javascript:alert)", "<p>x</p>"),
        ("[x](//evil.example)", "<p>x</p>"),
        ("<img src=x onerror=alert(1)>", "<p>&lt;img src=x onerror=alert(1)&gt;</p>"),
        (
            "https://a.example/b",
            '<p><a href="https://a.example/b" target="_blank" rel="noopener noreferrer">https://a.example/b</a></p>',
        ),
    ],
)
def test_words_become_elements_and_nothing_else(page: Page, text: str, expected: str) -> None:
    script = """async ([url, text]) => {
        const element = document.createElement("div");
        (await import(url)).write(element, text);
        return element.innerHTML;
    }"""
    assert page.evaluate(script, [static.url_for("text.js"), text]) == expected


def test_any_text_is_written_in_no_time(page: Page) -> None:
    chance = random.Random(4)
    texts = ["".join(chance.choices("*`[]()# \n->ab", k=10_000)) for _ in range(5)] + [
        "*" * 10_000,
        "[" * 10_000,
        "**a" * 3_000,
    ]
    script = """async ([url, texts]) => {
        const { write } = await import(url);
        const began = performance.now();
        for (const text of texts) write(document.createElement("div"), text);
        return performance.now() - began;
    }"""
    assert page.evaluate(script, [static.url_for("text.js"), texts]) < 5_000


KNOWN = {
    "nodes": {
        "a": [{"standing": "online", "from_s": 0, "to_s": 40}, {"standing": "offline", "from_s": 40, "to_s": 60}],
        "b": [{"standing": "late", "from_s": 30, "to_s": 50}],
    },
    "events": [{"node": "a", "at": 40, "title": "Offline", "detail": "no contact", "standing": "offline"}],
    "conditions": [
        {"condition": "Hot", "group": "a", "node": "a", "metrics": ["t"], "severity": "critical", "state": "firing",
         "from_s": 50, "to_s": 90}
    ],
    "outages": [[70, 80]],
    "refused": [{"at": 95, "node": "a", "what": "1 sample refused", "detail": "label too long"}],
    "late": [{"node": "a", "from_s": 0, "to_s": 10, "at_s": 300}, {"node": "b", "from_s": 0, "to_s": 10, "at_s": 200}],
}  # fmt: skip


def test_of_periods_that_overlap_the_worst_is_seen(page: Page) -> None:
    periods = [one for node in KNOWN["nodes"].values() for one in node if one["standing"] != "online"]  # type: ignore[attr-defined]
    (found,) = call(page, "happened.js", "worst", [[periods, 0, 55]])
    assert [(one["standing"], one["from_s"], one["to_s"]) for one in found] == [("late", 30, 40), ("offline", 40, 55)]
    assert call(page, "happened.js", "worst", [[periods, 60, 90], [[], 0, 1]]) == [[], []]


@pytest.mark.parametrize(
    ("nodes", "at_s", "said"),
    [
        (["a"], 45, ["a offline: no contact"]),
        (["a", "b"], 45, ["a offline: no contact", "b late"]),
        (["a"], 55, ["a offline: no contact", "Hot (a): firing"]),
        (["b"], 55, []),
        (["b"], 75, ["Metrist was away and heard nobody"]),
        (["a"], 94, ["a: 1 sample refused (label too long)"]),
        (["a", "b"], 5, ["2 nodes: samples came up to 5m late"]),
        (["a"], 5, ["a: samples came up to 5m late"]),
    ],
)
def test_what_is_told_of_an_instant(page: Page, nodes: list[str], at_s: float, said: list[str]) -> None:
    known = KNOWN | {"refused": [one for one in KNOWN["refused"] if one["node"] in nodes]}  # type: ignore[attr-defined]
    assert call(page, "happened.js", "told", [[known, {"nodes": nodes, "metrics": ["t"]}, at_s, 2]]) == [said]
    other = call(page, "happened.js", "told", [[known, {"nodes": nodes, "metrics": ["u"]}, 85, 2]])
    assert other == [[]]


@pytest.mark.parametrize(
    ("nodes", "span", "said"),
    [
        (["a"], (42, 58), "a was offline"),
        (["a", "b"], (30, 50), "a was offline, b was late"),
        (["b"], (65, 85), "Metrist was away"),
        (["a"], (90, 100), "a: 1 sample refused (label too long)"),
        (["b"], (90, 100), ""),
        (["a"], (0, 30), ""),
    ],
)
def test_why_there_is_a_gap(page: Page, nodes: list[str], span: tuple[float, float], said: str) -> None:
    assert call(page, "happened.js", "why", [[KNOWN, nodes, *span]]) == [said]


def test_matchers_stand_apart_at_spaces_outside_quotes(page: Page) -> None:
    calls = [['node=$node  core!=0 device=~"a b"'], [""], ["a=1"], ['x="a \\" b" y=2']]
    assert call(page, "same.js", "same", [[{"a": 1, "b": [1]}, {"b": [1], "a": 1}], [[1, 2], [2, 1]]]) == [True, False]
    assert call(page, "matchers.js", "matchers", calls) == [
        ["node=$node", "core!=0", 'device=~"a b"'],
        [],
        ["a=1"],
        ['x="a \\" b"', "y=2"],
    ]


@pytest.mark.parametrize(
    "value",
    ["web-1", "", "a b", 'say "x"', "back\\slash", "web.*", ["a", "b"], ["a.b", "c|d", "e f", 'g"h', "^$*+?()[]{}\\"]],
    ids=str,
)
@pytest.mark.parametrize("operator", ["=", "!=", "=~", "!~"])
def test_browser_and_server_put_the_same_values_in(page: Page, operator: str, value: str | list[str]) -> None:
    match = [f"node{operator}$node", "core!=0", "rack=$other", "rack=r$node"]
    (found,) = call(page, "matchers.js", "bound", [[match, {"node": value}]])
    query = Query(id="A", metric="cpu.usage_percent", match=tuple(match))
    expected = bind(Graph(queries=(query,)), {"node": as_value(value)}).queries[0]
    told = [(one.label, one.operator, one.value) for one in map(parse_matcher, found)]
    assert told == [(one.label, one.operator, one.value) for one in expected.matchers]
