"""Formulas: read as arithmetic is read, evaluated bucket by bucket, matched by labels."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidQuery
from domain.formula import evaluate, parse
from domain.lines import Line, calculate, name_lines
from domain.query import Formula, Graph, Query

FOUND = {"A": [6.0, None, 3.0], "B": [2.0, 2.0, 0.0], "F1": [1.0, 1.0, 1.0]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A", [6, None, 3]),
        ("A / B", [3, None, None]),
        ("A+B*2", [10, None, 3]),
        ("(A + B) * 2", [16, None, 6]),
        ("A - B - 1", [3, None, 2]),
        ("12 / A / B", [1, None, None]),
        ("-A + B", [-4, None, -3]),
        ("A * -(B - 1)", [-6, None, 3]),
        ("1e2*F1", [100, 100, 100]),
        (".5 * F1", [0.5, 0.5, 0.5]),
        ("B * 1e308 * 10", [None, None, 0]),
    ],
)
def test_arithmetic(text: str, expected: list[float | None]) -> None:
    assert evaluate(parse(text), FOUND, 3) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "at its end"),
        ("1 + 1", "names no query"),
        ("A +", "at its end"),
        ("A B", "at “B”"),
        ("(A", "parenthesis"),
        ("A)", "at “)”"),
        ("a", "at “a”"),
        ("__import__('os')", "at “__import__"),
        ("A ** B", "at “* B”"),
        ("(" * 30 + "A" + ")" * 30, "nests deeper"),
        ("-" * 100 + "A", "cannot be read"),
        ("A+" * 150, "at most 200"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse(text)
    assert said in refused.value.detail


TREE = st.recursive(
    st.sampled_from(["A", "B"]) | st.integers(0, 99).map(str),
    lambda inner: st.builds("({} {} {})".format, inner, st.sampled_from("+-*/"), inner),
    max_leaves=12,
)


@given(TREE, st.floats(-1e3, 1e3), st.floats(-1e3, 1e3))
def test_it_means_what_it_means_elsewhere(text: str, a: float, b: float) -> None:
    try:
        expected = eval(text, {"A": a, "B": b})
    except ZeroDivisionError:
        expected = math.nan
    try:
        (found,) = evaluate(parse(text), {"A": [a], "B": [b]}, 1)
    except InvalidQuery:
        assert "A" not in text and "B" not in text
        return
    assert found == expected if math.isfinite(expected) else found is None


def line(source: str, value: float, **labels: str) -> Line:
    return Line(source, "m", labels, [value])


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param([line("A", 6, node="x")], [line("B", 2, node="x")], {("x",): 3}, id="equal labels"),
        pytest.param([line("A", 6, node="x")], [line("B", 2, node="y")], {}, id="nothing in common"),
        pytest.param(
            [line("A", 6, node="x"), line("A", 8, node="y")], [line("B", 2)], {("x",): 3, ("y",): 4}, id="one"
        ),
        pytest.param([line("A", 6)], [line("B", 2, node="x")], {("x",): 3}, id="the other side leads"),
        pytest.param(
            [line("A", 6, device="d", node="x"), line("A", 8, device="d", node="y")],
            [line("B", 2, node="x"), line("B", 4, node="y")],
            {("d", "x"): 3, ("d", "y"): 2},
            id="some of the labels",
        ),
        pytest.param([], [line("B", 2)], {}, id="one side is empty"),
    ],
)
def test_lines_meet_by_their_labels(
    left: list[Line], right: list[Line], expected: dict[tuple[str, ...], float]
) -> None:
    found = calculate(Formula("F1", "A / B"), {"A": left, "B": right}, 1)
    assert {tuple(one.labels[key] for key in sorted(one.labels)): one.values[0] for one in found} == expected
    assert {one.source for one in found} <= {"F1"}


CPU = Graph((Query("A", "cpu"),))
BOTH = Graph((Query("A", "cpu"), Query("B", "mem")), (Formula("F1", "A / B"),))
TWICE = Graph((Query("A", "cpu"), Query("B", "cpu")))


@pytest.mark.parametrize(
    ("graph", "lines", "names"),
    [
        pytest.param(CPU, [line("A", 1)], ["cpu"], id="all in one"),
        pytest.param(CPU, [line("A", 1, node="x")], ["x"], id="one node"),
        pytest.param(CPU, [line("A", 1, node="x", core="0"), line("A", 1, node="x", core="1")], ["0", "1"], id="cores"),
        pytest.param(
            CPU, [line("A", 1, node="x", core="0"), line("A", 1, node="y")], ["x · 0", "y"], id="the node comes first"
        ),
        pytest.param(BOTH, [line("A", 1), line("B", 1), line("F1", 1)], ["cpu", "mem", "A / B"], id="several queries"),
        pytest.param(BOTH, [line("A", 1, node="x"), line("B", 1, node="x")], ["cpu · x", "mem · x"], id="and labels"),
        pytest.param(TWICE, [line("A", 1), line("B", 1)], ["A cpu", "B cpu"], id="one metric twice"),
        pytest.param(CPU, [line("A", 1), Line("A", "m", {}, [1], "1d")], ["cpu", "cpu (1d before)"], id="comparison"),
    ],
)
def test_names_say_what_differs(graph: Graph, lines: list[Line], names: list[str]) -> None:
    assert name_lines(lines, graph) == names
