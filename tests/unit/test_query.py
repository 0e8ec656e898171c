"""Graphs as JSON and as addresses: read back as written, and refused in words that help."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import query
from domain.errors import InvalidQuery
from domain.query import Formula, Graph, Query, Threshold, as_json, from_url, graph_of, matcher_text, to_url

LABEL = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUE = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
MATCHER = st.builds(matcher_text, LABEL, st.sampled_from(["=", "!="]), VALUE)
METRIC = st.from_regex(r"[a-z_][A-Za-z0-9_.:/-]{0,30}", fullmatch=True)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    ids = draw(st.lists(st.sampled_from("ABCDEFGHIJ"), min_size=1, max_size=4, unique=True).map(sorted))
    queries = tuple(
        Query(
            name,
            draw(METRIC),
            tuple(draw(st.lists(MATCHER, max_size=3))),
            draw(st.sampled_from(["avg", "last", "rate"])),
            draw(st.none() | st.lists(LABEL, max_size=3, unique=True).map(tuple)),
            draw(st.sampled_from(["avg", "sum", "count"])),
            draw(st.none() | st.integers(1, 1_000)),
            draw(st.booleans()),
        )
        for name in ids
    )
    return Graph(
        queries,
        tuple(Formula(f"F{n + 1}", f"{ids[0]} * {n}.5", n > 0) for n in range(draw(st.integers(0, 3)))),
        tuple(draw(st.lists(st.sampled_from(["6h", "1d", "2w"]), max_size=2, unique=True))),
        draw(st.sampled_from(["lines", "stack", "heatmap"])),
        draw(st.booleans()),
        draw(st.sampled_from([None, "percent", "bytes_per_s"])),
        tuple(draw(st.lists(st.builds(Threshold, st.floats(-1e9, 1e9), VALUE), max_size=2))),
    )


@given(graphs())
def test_a_graph_is_read_back_from_its_address_and_its_json(graph: Graph) -> None:
    assert from_url(parse_qsl(to_url(graph), keep_blank_values=True)) == graph
    assert graph_of(as_json(graph)) == graph


@given(LABEL, st.sampled_from(["=", "!="]), VALUE)
def test_a_matcher_is_read_back_from_its_text(label: str, operator: str, value: str) -> None:
    found = query.parse_matcher(matcher_text(label, operator, value))
    assert (found.label, found.operator, found.value) == (label, operator, value)


def test_an_address_reads_like_what_it_asks() -> None:
    graph = Graph(
        (
            Query("A", "net.received_bytes", ("node=~web-.*", "device!=lo"), "rate", ("node",), "sum", 10),
            Query("B", "net.errors", by=(), hidden=True),
        ),
        (Formula("F1", "B / A * 100"),),
        ("1d",),
        "stack",
        thresholds=(Threshold(80, "high"), Threshold(0.5)),
    )
    assert to_url(graph) == (
        "A=net.received_bytes&A.match=node=~web-.*&A.match=device!=lo&A.over=rate&A.by=node&A.across=sum&A.top=10"
        "&B=net.errors&B.by=&B.hidden=1&F1=B%20/%20A%20*%20100&shift=1d&kind=stack&threshold=80:high&threshold=0.5"
    )


def test_other_parameters_of_an_address_are_passed_over() -> None:
    assert from_url([("range", "1h"), ("A", "cpu"), ("var.node", "x"), ("A", "again")]) == Graph((Query("A", "cpu"),))


@pytest.mark.parametrize(
    ("graph", "said"),
    [
        ({"queries": [{"id": "A"}]}, "metric"),
        ({"queries": [{"id": "A", "metric": "cpu", "ovr": "avg"}]}, "ovr"),
        ({"queries": [{"id": "A", "metric": "cpu", "over": "p98"}]}, "over"),
        ({"queries": [{"id": "AA", "metric": "cpu"}]}, "one letter"),
        ({"queries": [{"id": "A", "metric": "c pu"}]}, "query A: metric name"),
        ({"queries": [{"id": "A", "metric": "cpu"}] * 2}, "one id"),
        ({"queries": [{"id": "A", "metric": "cpu", "match": ["web"]}]}, "label=value"),
        ({"queries": [{"id": "A", "metric": "cpu", "match": ["node=~("]}]}, "is no pattern"),
        ({"queries": [{"id": "A", "metric": "cpu", "match": ["a=b"] * 21}]}, "at most 20"),
        ({"queries": [{"id": "A", "metric": "cpu", "by": ["a b"]}]}, "no label's name"),
        ({"queries": [{"id": "A", "metric": "cpu", "by": ["a", "a"]}]}, "twice"),
        ({"queries": [{"id": "A", "metric": "cpu", "top": 0}]}, "from 1 to"),
        ({"queries": [{"id": "A", "metric": "cpu"}], "formulas": [{"id": "F1", "expr": "A / B"}]}, "speaks of B"),
        ({"queries": [{"id": "A", "metric": "cpu"}], "formulas": [{"id": "F1", "expr": "F1 + A"}]}, "speaks of F1"),
        ({"queries": [{"id": "A", "metric": "cpu"}], "formulas": [{"id": "G", "expr": "A"}]}, "F1 to F99"),
        ({"shift": ["yesterday"]}, "6h, 1d or 2w"),
        ({"unit": "<b>"}, "no unit"),
        ({"thresholds": [{"value": 1e301}]}, "threshold"),
        ([], "expected shape"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said(graph: Any, said: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        graph_of(graph)
    assert said in refused.value.detail


@pytest.mark.parametrize("pairs", [[("threshold", "high")], [("A", "cpu"), ("A.top", "x")], [("kind", "pie")]], ids=str)
def test_what_an_address_cannot_ask_is_said(pairs: list[tuple[str, str]]) -> None:
    with pytest.raises(InvalidQuery):
        from_url(pairs)


@given(st.lists(st.tuples(st.sampled_from(["A", "A.by", "A.match", "A.top", "F1", "shift", "kind", "B.over"]), VALUE)))
def test_any_address_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    try:
        graph = from_url(pairs)
    except InvalidQuery:
        return
    assert from_url(parse_qsl(to_url(graph), keep_blank_values=True)) == graph
