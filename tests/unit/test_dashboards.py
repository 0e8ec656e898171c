"""Dashboards as documents: what is taken, what is refused and in which words, and what variables do to a graph."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import dashboards
from domain.errors import InvalidBody, InvalidQuery, MetristError, TooLarge
from domain.query import Graph, Query, parse_matcher

QUERY = {"id": "A", "metric": "cpu.usage_percent", "match": ["node=$node", "core!=0"]}


def graph(panel_id: str, x: int = 0, y: int = 0, w: int = 6, h: int = 4, **more: Any) -> dict[str, Any]:
    place = {"type": "graph", "id": panel_id, "x": x, "y": y, "w": w, "h": h}
    return {**place, "title": "CPU", "graph": {"queries": [QUERY]}} | more


def document(**changes: Any) -> dict[str, Any]:
    panels = [graph("a"), {"type": "text", "id": "b", "x": 6, "y": 0, "w": 6, "h": 4, "text": "# Who to call"}]
    variables = [{"name": "node", "label": "node", "value": "web-1"}]
    whole = {"format": "metrist/dashboard", "version": 1, "title": "Web", "variables": variables, "panels": panels}
    return whole | changes


def test_what_is_exported_can_be_imported() -> None:
    found = dashboards.of(document(range="7d"))
    assert dashboards.read(dashboards.export(found)) == found
    assert dashboards.of(dashboards.as_json(found)) == dashboards.kept(dashboards.as_json(found)) == found
    told = json.loads(dashboards.export(found))
    assert list(told)[:3] == ["format", "version", "title"]
    assert told["panels"][1]["text"] == "# Who to call"


def test_a_new_one_is_empty() -> None:
    assert dashboards.as_json(dashboards.new("  Web \n servers ")) == {
        "format": "metrist/dashboard",
        "version": 1,
        "title": "Web servers",
        "range": "1h",
        "variables": [],
        "panels": [],
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "grafana"}, "no dashboard of Metrist's"),
        ({"version": 2}, "of version '2', this release reads version 1"),
        ({"version": "1"}, "this release reads"),
        ({"title": " "}, "1 to 100 printable"),
        ({"title": "x" * 101}, "1 to 100 printable"),
        ({"range": "1 fortnight"}, "15m, 3h or 7d"),
        ({"surprise": 1}, "surprise"),
        ({"panels": [graph("a"), graph("a", x=6)]}, "Two panels have one id"),
        ({"panels": [graph("a"), graph("b", x=5)]}, "overlap"),
        ({"panels": [graph("a", x=7)]}, "does not fit into 12 columns"),
        ({"panels": [graph("a", x=-1)]}, "does not fit into 12 columns"),
        ({"panels": [graph("a", w=0)]}, "does not fit into 12 columns"),
        ({"panels": [graph("a", h=41)]}, "1 to 40 rows high"),
        ({"panels": [graph("a", y=999)]}, "within 1000 rows"),
        ({"panels": [graph("a/b")]}, "panel's id"),
        ({"panels": [graph("a", title="x" * 101)]}, "at most 100 printable"),
        ({"panels": [graph("a", graph={"queries": [QUERY | {"match": ["node"]}]})]}, "no matcher"),
        ({"panels": [graph("a", graph={"queries": [QUERY], "formulas": [{"id": "F1", "expr": "B"}]})]}, "speaks of B"),
        ({"panels": [graph("a", graph={"queries": [QUERY], "kind": "pie"})]}, "panels"),
        ({"panels": [graph("a", y=4 * n, title="") | {"id": f"p{n}"} for n in range(101)]}, "at most 100"),
        ({"panels": [{"type": "map", "id": "a", "x": 0, "y": 0, "w": 1, "h": 1}]}, "expected shape"),
        ({"variables": [{"name": "node", "label": "node"}] * 2}, "one name"),
        ({"variables": [{"name": "a b", "label": "node"}]}, "letters, digits"),
        ({"variables": [{"name": "a", "label": "no de"}]}, "no label's name"),
        ({"variables": [{"name": "a", "label": "node", "value": "x" * 201}]}, "at most 200"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        dashboards.of(document(**changes))
    assert said in refused.value.detail


@pytest.mark.parametrize(
    ("data", "refusal"),
    [
        (b"{", InvalidBody),
        (b"[]", InvalidBody),
        (b"\xff", InvalidBody),
        (b'"' + b"x" * dashboards.DOCUMENT_MAX_BYTES + b'"', TooLarge),
    ],
)
def test_a_file_that_is_none_is_refused(data: bytes, refusal: type[MetristError]) -> None:
    with pytest.raises(refusal):
        dashboards.read(data)


def test_many_long_texts_are_too_much() -> None:
    panels = [{"type": "text", "id": f"t{n}", "x": 0, "y": n, "w": 1, "h": 1, "text": "x" * 10_000} for n in range(14)]
    with pytest.raises(InvalidBody, match="make two of it"):
        dashboards.of(document(panels=panels))


def matchers_of(match: list[str], **values: dashboards.Value) -> list[str]:
    bound = dashboards.of(document(panels=[graph("a", graph={"queries": [QUERY | {"match": match}]})])).graph("a")
    assert bound
    return list(dashboards.bind(bound, values).queries[0].match)


@pytest.mark.parametrize(
    ("match", "value", "expected"),
    [
        (["node=$node", "core!=0"], "web-1", ["node=web-1", "core!=0"]),
        (["node=$node", "core!=0"], "", ["core!=0"]),
        (["node!=$node"], "web-1", ["node!=web-1"]),
        (["node=~$node"], "web.*", ["node=web.*"]),
        (["node!~$node"], "(", ["node!=("]),
        (["node=web-$node"], "1", ["node=web-$node"]),
        (["node=$other"], "web-1", ["node=$other"]),
        (['node="$node"'], "web-1", ["node=web-1"]),
    ],
)
def test_a_value_takes_the_variables_place(match: list[str], value: str, expected: list[str]) -> None:
    assert matchers_of(match, node=value) == expected


@pytest.mark.parametrize("value", ['"', '" node=~".*', " x ", "a\\", "$node", "a=b", "\n", "''); DROP", '"a"'])
def test_a_value_is_a_value_whatever_it_holds(value: str) -> None:
    (text,) = matchers_of(["node=$node"], node=value)
    found = parse_matcher(text)
    assert (found.label, found.operator, found.value) == ("node", "=", value)


@pytest.mark.parametrize(
    ("match", "values", "expected"),
    [
        (["node=$node"], ("web-1", "web-2"), ["node=~web-1|web-2"]),
        (["node!=$node"], ("web-1", "web-2"), ["node!~web-1|web-2"]),
        (["node=~$node", "core!=0"], ("a.b", "c|d"), [r"node=~a\.b|c\|d", "core!=0"]),
    ],
)
def test_several_values_are_any_of_them(match: list[str], values: tuple[str, ...], expected: list[str]) -> None:
    assert matchers_of(match, node=values) == expected


@given(st.lists(st.text(min_size=1, max_size=20), min_size=2, max_size=5, unique=True), st.text(max_size=20))
def test_several_values_match_themselves_and_nothing_else(values: list[str], other: str) -> None:
    try:
        found = dashboards.bind(one_query(), {"node": tuple(values)}).queries[0].matchers[0]
    except InvalidQuery as error:
        assert "half a character" in error.detail
        return
    assert all(found.holds({"node": value}) for value in values)
    assert found.holds({"node": other}) == (other in values)


def one_query() -> Graph:
    return Graph(queries=(Query("A", "cpu.usage_percent", ("node=$node",)),))


def test_more_values_than_a_pattern_holds_are_refused() -> None:
    with pytest.raises(InvalidQuery, match="4,000 are taken"):
        assert dashboards.bind(one_query(), {"node": tuple(f"{n:0200}" for n in range(50))}).queries[0].matchers
    with pytest.raises(InvalidQuery, match="at most 50"):
        dashboards.as_value([str(n) for n in range(51)])


def test_a_variables_value_has_one_form() -> None:
    assert dashboards.as_value(["", "a", "a"]) == "a"
    assert dashboards.as_value([]) == dashboards.as_value([""]) == ""
    assert dashboards.as_value(["b", "a"]) == ("b", "a")
    found = dashboards.of(document(variables=[{"name": "node", "label": "node", "value": ["web-1", "web-2"]}]))
    assert found.variables[0].value == ("web-1", "web-2")
    assert dashboards.choose(found, {}) == {"node": ("web-1", "web-2")}
    assert dashboards.read(dashboards.export(found)) == found
    alone = dashboards.of(document(variables=[{"name": "node", "label": "node", "value": ["web-1"]}]))
    assert alone.variables[0].value == "web-1"


def test_only_a_dashboard_that_hides_events_says_so() -> None:
    assert "events" not in dashboards.as_json(dashboards.of(document()))
    hiding = dashboards.of(document(events=False))
    assert dashboards.as_json(hiding)["events"] is False
    assert dashboards.read(dashboards.export(hiding)) == hiding


def test_a_variable_is_what_is_chosen_else_what_it_is_at_first() -> None:
    found = dashboards.of(document())
    assert dashboards.choose(found, {}) == {"node": "web-1"}
    assert dashboards.choose(found, {"node": ""}) == {"node": ""}
    assert dashboards.choose(found, {"node": "db", "nothing": "x"}) == {"node": "db"}
    with pytest.raises(InvalidQuery):
        dashboards.choose(found, {"node": "x" * 201})


def test_values_come_from_the_metrics_that_are_chosen_among() -> None:
    other = graph("c", x=0, y=4, graph={"queries": [{"id": "A", "metric": "load.1m"}]})
    found = dashboards.of(document(panels=[graph("a"), other]))
    (variable,) = found.variables
    assert dashboards.metrics_with(found, variable) == ["cpu.usage_percent"]
    unused = dashboards.of(document(variables=[{"name": "dc", "label": "dc"}], panels=[graph("a"), other]))
    assert dashboards.metrics_with(unused, unused.variables[0]) == ["cpu.usage_percent", "load.1m"]


def test_a_graph_is_added_where_there_is_room() -> None:
    found = dashboards.of(document())
    added = dashboards.add(found, one_query(), "CPU", "new")
    panel = added.panels[-1]
    assert (panel.id, panel.title, panel.x, panel.y, panel.w, panel.h) == ("new", "CPU", 0, 4, 6, 6)
    beside = dashboards.add(added, one_query(), "", "newer").panels[-1]
    assert (beside.x, beside.y) == (6, 4)
    assert added.panels[:-1] == found.panels and added.graph("new") == one_query()


def test_a_full_dashboard_takes_no_more() -> None:
    panels = [graph(f"p{n}", y=4 * n) for n in range(dashboards.PANELS_MAX)]
    with pytest.raises(InvalidBody, match="at most 100"):
        dashboards.add(dashboards.of(document(panels=panels)), one_query(), "", "new")
