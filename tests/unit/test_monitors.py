"""What a monitor may be, which nodes it finds, and what a node fetches."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import bundles, monitors
from domain.errors import InvalidBody
from domain.ids import AccountId
from domain.monitors import CAPABILITIES, Candidate, Limits, Spec, Target

ACCOUNT = AccountId(UUID(int=1))
PRIVATE = bytes(range(32))
WEB = Candidate("web-1", {"env": "prod", "role": "web"})
DB = Candidate("db-1", {"env": "prod"})
TEST = Candidate("test-1", {})

texts = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
specs = st.builds(
    Spec,
    script=texts.map(lambda text: f"log('{text}')"),
    interval_s=st.integers(60, 86_400),
    timeout_s=st.integers(1, 60),
    labels=st.dictionaries(st.from_regex(r"[a-l][a-z]{0,8}", fullmatch=True), texts, max_size=3),
    limits=st.builds(Limits, memory_mb=st.integers(8, 256), cpu_ms=st.integers(10, 30_000)),
    capabilities=st.lists(st.sampled_from(CAPABILITIES)).map(tuple),
    parameters=st.dictionaries(
        st.from_regex(r"[a-z]{1,8}", fullmatch=True), texts | st.booleans() | st.integers(-(2**53), 2**53), max_size=3
    ),
)


@given(specs)
def test_what_is_stored_is_what_was_written(spec: Spec) -> None:
    checked = monitors.check(spec)
    assert monitors.kept(json.loads(json.dumps(monitors.as_json(checked)))) == checked
    assert monitors.read(monitors.as_json(checked)) == monitors.check(checked) == checked


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"script": " \n"}, "The script is empty"),
        ({"script": "x" * 32_769}, "32,769 bytes"),
        ({"script": "a = 1\nb =\x00 2"}, "Line 2 of the script holds the character U+0000"),
        ({"script": "a = 1 \u202e"}, "U+202E"),
        ({"interval_s": 1}, "The interval is 5 to 86,400 seconds, not 1"),
        ({"timeout_s": 61}, "The timeout is 1 to 60 seconds"),
        ({"interval_s": 5, "timeout_s": 6}, "longer than the interval"),
        ({"limits": {"memory_mb": 1_000}}, "The limit memory_mb is 8 to 256"),
        ({"limits": {"threads": 1}}, "unknown field"),
        ({"labels": {"monitor": "x"}}, "the monitor's name already"),
        ({"labels": {"a-b": "x"}}, "label name"),
        ({"labels": {f"l{n}": "" for n in range(9)}}, "at most 8 labels"),
        ({"capabilities": ["root"]}, "no capability 'root'"),
        ({"parameters": {"a b": 1}}, "A parameter's name"),
        ({"parameters": {"a": "x" * 1_001}}, "at most 1,000"),
        ({"parameters": {"a": 2**60}}, "too large"),
        ({"parameters": {"a": [1]}}, "expected shape"),
        ({"interval": 10}, "unknown field"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_is_refused_in_words(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidBody, match=said.replace("(", r"\(").replace("+", r"\+")):
        monitors.read({"script": "log('a')", **wrong})


def test_a_script_has_one_kind_of_line_end_and_its_capabilities_one_order() -> None:
    spec = monitors.check(Spec(script="a = 1\r\nb = 2\r", capabilities=("exec", "http", "exec")))
    assert (spec.script, spec.capabilities) == ("a = 1\nb = 2\n", ("http", "exec"))


@pytest.mark.parametrize(
    "name", ["", "Disk", "-disk", "disk usage", "d" * 65, "a/b", "größe", "disk\n", "new", "dry-run"]
)
def test_names_are_what_a_label_a_file_and_an_address_can_be(name: str) -> None:
    if name.strip() == "disk":
        assert monitors.clean_name(name) == "disk"
    else:
        with pytest.raises(InvalidBody):
            monitors.clean_name(name)


@pytest.mark.parametrize(
    ("target", "found"),
    [
        (Target(), []),
        (Target(match="*"), ["web-1", "db-1", "test-1"]),
        (Target(match="env=prod"), ["web-1", "db-1"]),
        (Target(match="env=prod role!=web"), ["db-1"]),
        (Target(match="WEB"), ["web-1"]),
        (Target(nodes=("test-1", "gone")), ["test-1"]),
        (Target(nodes=("test-1",), match="role=web"), ["web-1", "test-1"]),
    ],
    ids=str,
)
def test_a_target_finds_by_name_and_as_the_list_of_nodes_does(target: Target, found: list[str]) -> None:
    assert [node.name for node in (WEB, DB, TEST) if monitors.finds(target, node)] == found


def test_a_target_that_is_no_pattern_is_refused() -> None:
    with pytest.raises(InvalidBody, match="no pattern"):
        monitors.check_target(Target(match="env=~("))
    assert monitors.check_target(Target(nodes=(" b ", "a", "b", ""), match=" x ")) == Target(("a", "b"), "x")


@pytest.mark.parametrize(
    ("agent", "needs", "is_able"),
    [
        ({}, (), False),
        ({"monitors": ""}, (), True),
        ({"monitors": ""}, ("http",), False),
        ({"monitors": "file,http"}, ("http",), True),
        ({"monitors": "http,root"}, ("http", "tcp"), False),
        ({"monitors": True}, (), False),
    ],
)
def test_who_may_run_it_is_said_by_the_agent(agent: dict[str, Any], needs: tuple[str, ...], is_able: bool) -> None:
    assert monitors.is_able(Spec(script="x", capabilities=needs), agent) == is_able


@given(st.lists(specs, max_size=3), texts)
def test_a_bundle_verifies_as_it_came_and_in_no_other_form(found: list[Spec], node: str) -> None:
    entries = [bundles.entry(str(UUID(int=n)), f"m{n}", n + 1, monitors.check(spec)) for n, spec in enumerate(found)]
    raw = bundles.signed(PRIVATE, ACCOUNT, node, entries, 1_767_225_600)
    bundle = json.loads(raw)
    public = bundles.public_key(PRIVATE)
    assert bundles.is_genuine(bundle, public) and bundle["hash"] == bundles.hash_of(entries)
    assert bundle["key_id"] == bundles.key_id(public)
    for name in bundles.SIGNED:
        changed = {**bundle, name: bundle[name] + (1 if name == "issued_at" else [{}] if name == "monitors" else "x")}
        assert not bundles.is_genuine(changed, public), name
        assert not bundles.is_genuine({key: value for key, value in bundle.items() if key != name}, public)
    assert not bundles.is_genuine(bundle, bundles.public_key(bytes(32)))
    assert not bundles.is_genuine({**bundle, "signature": "no base64"}, public)


def test_a_hash_follows_what_is_run_and_nothing_else() -> None:
    one = Spec(script="log('a')")
    entries = [bundles.entry("1", "a", 1, one)]
    assert bundles.hash_of([]) == ""
    assert bundles.hash_of(entries) == bundles.hash_of([bundles.entry("1", "a", 1, Spec(script="log('a')"))])
    others = [
        bundles.entry("2", "a", 1, one),
        bundles.entry("1", "b", 1, one),
        bundles.entry("1", "a", 2, one),
        bundles.entry("1", "a", 1, msgspec.structs.replace(one, timeout_s=11)),
    ]
    assert len({bundles.hash_of([other]) for other in [*entries, *others]}) == 5


def test_canonical_bytes_are_as_agents_make_them() -> None:
    assert bundles.canonical({"b": [1, "ü\n"], "a": {"y": True, "x": None}}) == (
        '{"a":{"x":null,"y":true},"b":[1,"ü\\n"]}'.encode()
    )
