"""What open pages are told: figures of nodes, and the difference of two looks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.nodes import FIGURES, MINUTES, Changes, Minutes, Node, changes, figures_of, first_minute

NOW_S = 1_700_000_030.0
THIS_MINUTE = 1_699_999_980

CPU, DISK, LOAD, NET = (FIGURES[key].metric for key in ("cpu", "disk", "load", "net"))


def minutes_of(metric: str, value: float, ts_s: float = THIS_MINUTE, **labels: str) -> Minutes:
    return Minutes("web-1", metric, labels, [(ts_s, value)])


FIGURE_CASES: list[tuple[str, list[Minutes], dict[str, float | None]]] = [
    ("one series", [minutes_of(LOAD, 0.5)], {"load": 0.5}),
    ("a total before its parts", [minutes_of(CPU, 10), minutes_of(CPU, 90, core="0")], {"cpu": 10}),
    ("the mean of cores", [minutes_of(CPU, 10, core="0"), minutes_of(CPU, 20, core="1")], {"cpu": 15}),
    ("the fullest disk", [minutes_of(DISK, 40, mount="/"), minutes_of(DISK, 91, mount="/var")], {"disk": 91}),
    ("all interfaces", [minutes_of(NET, 100, interface="a"), minutes_of(NET, 100, interface="b")], {"net": 200}),
    ("the last minutes count as now", [minutes_of(LOAD, 3, THIS_MINUTE - 120)], {"load": 3}),
    ("an older value is history", [minutes_of(LOAD, 3, THIS_MINUTE - 180)], {"load": None}),
]


@pytest.mark.parametrize(
    ("series", "last"), [case[1:] for case in FIGURE_CASES], ids=[case[0] for case in FIGURE_CASES]
)
def test_figures_are_one_value_of_several_series(series: list[Minutes], last: dict[str, float | None]) -> None:
    found = figures_of(series, NOW_S)
    assert {key: figure["last"] for key, figure in found["web-1"].items()} == last


def test_a_sparkline_has_a_place_for_every_minute() -> None:
    start_s = first_minute(NOW_S)
    points = [(float(start_s), 1.0), (float(start_s - 60), 7.0), (float(THIS_MINUTE), 2.0)]
    minutes = figures_of([Minutes("web-1", FIGURES["load"].metric, {}, points)], NOW_S)["web-1"]["load"]["minutes"]
    assert minutes == [1.0] + [None] * (MINUTES - 2) + [2.0]


def test_only_what_changed_is_told() -> None:
    before: dict[str, Node] = {"a": {"name": "a", "state": "online", "contact_s": 1}, "b": {"name": "b"}}
    after: dict[str, Node] = {"a": {"name": "a", "state": "late", "contact_s": 1}, "c": {"name": "c"}}
    news = changes(before, after)
    assert news.nodes == {"a": {"name": "a", "state": "late"}, "c": {"name": "c"}}
    assert news.removed == {"b"}
    assert not changes(after, after)


def test_a_page_of_one_node_hears_of_that_node() -> None:
    news = Changes({"a": {"name": "a"}, "b": {"name": "b"}}, {"c"})
    assert news.only("a") == Changes({"a": {"name": "a"}})
    assert news.only("c") == Changes({}, {"c"})


NODE = st.fixed_dictionaries(
    {}, optional={"state": st.sampled_from(["online", "late"]), "contact_s": st.integers(0, 3)}
)
VIEW = st.dictionaries(st.sampled_from("abc"), NODE.filter(lambda node: len(node) == 2), max_size=3)


@given(st.lists(VIEW, min_size=1, max_size=6), st.data())
def test_merged_messages_lead_to_the_same_page(views: list[dict[str, dict[str, Any]]], data: st.DataObject) -> None:
    named = [{name: node | {"name": name} for name, node in view.items()} for view in views]
    page: dict[str, dict[str, Any]] = {}
    pending = Changes()
    for before, after in zip([{}, *named], named, strict=False):
        pending.merge(changes(before, after))
        if data.draw(st.booleans(), label="the browser reads"):
            page, pending = _applied(page, pending), Changes()
    assert _applied(page, pending) == named[-1]


def _applied(page: dict[str, dict[str, Any]], news: Changes) -> dict[str, dict[str, Any]]:
    kept = {name: node for name, node in page.items() if name not in news.removed}
    return kept | {name: kept.get(name, {}) | node for name, node in news.nodes.items()}
