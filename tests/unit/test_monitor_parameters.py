"""What parameters of monitors may be declared and set to, in the server and in the agent alike."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.monitors.parameters import Declared, misfit
from dashboards.monitors.form import Filled, fields_of, parameters_text, read_parameters, show
from dashboards.monitors.starts import STARTS
from domain import bundles, monitor_parameters, monitors
from domain.errors import InvalidBody
from domain.monitor_parameters import Parameter, check, check_value, line_of, read_line
from domain.monitors import Spec, Target

DECLARED = {
    "most": Parameter("number", 90, least=0, most=100),
    "process": Parameter("text", "nginx"),
    "state": Parameter("choice", "critical", choices=("warning", "critical")),
    "strict": Parameter("boolean", True),
}
names = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
texts = st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\u2028"), max_size=20)
plain = st.text("abcdef -_.ü", min_size=1, max_size=8).map(str.strip).filter(bool)
numbers = st.integers(-(10**12), 10**12) | st.floats(-1e6, 1e6).map(lambda n: round(n, 3))
parameters = st.one_of(
    st.builds(Parameter, st.just("number"), numbers),
    st.builds(Parameter, st.just("text"), texts),
    st.builds(Parameter, st.just("boolean"), st.booleans()),
    st.lists(plain, min_size=2, max_size=5, unique=True).map(
        lambda found: Parameter("choice", found[-1], choices=tuple(found))
    ),
    st.tuples(numbers, numbers, numbers).map(
        lambda three: Parameter("number", sorted(three)[1], least=sorted(three)[0], most=sorted(three)[2])
    ),
)
known = st.sampled_from(["warning", ""])
values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | known


@given(names, parameters)
def test_the_line_that_declares_one_is_read_back(name: str, declared: Parameter) -> None:
    check(name, declared)
    assert read_line(line_of(name, declared)) == (name, declared)


@given(st.sampled_from(sorted(DECLARED)), values)
def test_agents_take_what_the_server_takes_and_nothing_else(name: str, value: Any) -> None:
    declared = DECLARED[name]
    theirs = msgspec.convert(json.loads(msgspec.json.encode(declared)), Declared)
    try:
        check_value(name, declared, value)
        is_taken = True
    except InvalidBody:
        is_taken = False
    assert (misfit({name: theirs}, {name: value}) == "") == is_taken


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("most: number = many", "most is a number, not 'many'"),
        ("most: number(0..100) = 101", "is a number from 0 to 100, not 101"),
        ("most: number(5..) = 1", "a number of at least 5"),
        ("most: number(5..1) = 3", "no number is between 5 and 1"),
        ("most: text(0..1) = a", "says nothing of a text"),
        ("most: integer = 1", "no type 'integer'; there are number, text, choice, boolean"),
        ("on: boolean = yes", "true or false"),
        ("state: choice(a) = a", "2 to 50 different texts"),
        ("state: choice(a, a) = a", "2 to 50 different texts"),
        ("state: choice(a, b) = c", "one of a, b"),
        ("a b: number = 1", "A parameter's name"),
        ("most: number", "declares nothing"),
        ("word: text = " + "x" * 1_001, "at most 1,000 printable"),
    ],
    ids=lambda value: value[:30],
)
def test_what_cannot_be_declared_is_refused_in_words(line: str, said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        read_line(line)
    assert said in refused.value.detail


def test_a_version_tells_its_script_what_is_set_and_the_defaults_beside() -> None:
    spec = monitors.check(Spec(script="x = 1", declared=DECLARED, parameters={"most": 80, "plain": "y"}))
    assert spec.told == {"most": 80, "plain": "y", "process": "nginx", "state": "critical", "strict": True}
    travels = json.loads(bundles.entry("1", "a", 1, spec).canonical)
    assert travels["parameters"] == spec.told
    assert travels["declared"]["most"] == {"kind": "number", "default": 90, "least": 0.0, "most": 100.0}
    assert monitors.read(monitors.as_json(spec)) == spec
    with pytest.raises(InvalidBody, match="Parameter most is a number from 0 to 100, not 101"):
        monitors.check(msgspec.structs.replace(spec, parameters={"most": 101}))


def test_one_that_declares_nothing_travels_as_before_there_were_types() -> None:
    assert "declared" not in json.loads(bundles.entry("1", "a", 1, Spec(script="x = 1")).canonical)


@pytest.mark.parametrize("start", STARTS, ids=lambda start: start.slug)
def test_what_one_starts_from_can_be_saved(start: Any) -> None:
    assert monitors.check(start.spec) == show("a", start.spec, Target()).spec()


def test_the_form_asks_for_each_parameter_and_keeps_what_was_set() -> None:
    spec = monitors.check(Spec(script="x = 1", declared=DECLARED, parameters={"most": 80, "old": True}))
    form = show("a", spec, Target())
    assert form.parameters.splitlines()[0] == "most: number(0..100) = 90" and form.parameters.endswith("old=true")
    asked = [(one.name, one.text, one.problem) for one in fields_of(form)]
    assert asked[:2] == [("most", "80", ""), ("process", "", "")]
    assert form.spec() == spec
    assert read_parameters(parameters_text(spec)) == (DECLARED, {"old": True})


@pytest.mark.parametrize(
    ("text", "filled", "said"),
    [
        ("a: number = 1\n\nb: number = x", {}, "Parameters, line 3: Parameter b is a number"),
        ("a: number = 1\na=2", {}, "Parameters, line 2: a stands there twice"),
        ("a: number = 1\na: text = 2", {}, "Parameters, line 2: a stands there twice"),
        ("no value", {}, "Parameters, line 1: lines are like name: number = 1"),
        ("a: number(0..5) = 1", {"a": "6"}, "Parameter a is a number from 0 to 5, not 6"),
    ],
)
def test_a_form_that_says_nonsense_is_refused_with_its_line(text: str, filled: dict[str, str], said: str) -> None:
    with pytest.raises(InvalidBody) as refused:
        Filled(script="x = 1", parameters=text, values=filled).spec()
    assert said in refused.value.detail


def test_a_field_tells_what_is_wrong_with_it() -> None:
    (one,) = fields_of(Filled(parameters="a: number(0..5) = 1", values={"a": "six"}))
    assert one.problem == "Parameter a is a number, not 'six'" and one.default == "1"


def test_a_parameter_that_is_missing_is_a_misfit() -> None:
    assert misfit({"a": Declared("number")}, {}) == "the parameter a is missing"
    assert monitor_parameters.effective({"a": Parameter("number", 1)}, {}) == {"a": 1}
