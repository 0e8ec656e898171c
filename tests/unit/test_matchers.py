"""What people type into the filter, and which nodes it finds."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidQuery
from domain.matchers import FILTER_MAX_CHARS, Filter, haystack_of, parse_filter
from domain.series_key import LABEL_VALUE_MAX_CHARS

LABELS = {"env": "prod", "rack": "a12", "team": "data base"}

CASES = [
    ("nothing finds all", "", True),
    ("a word in the name", "EB-1", True),
    ("a word in a label", "data", True),
    ("all words must stand there", "web canary", False),
    ("a word spans no two texts", "web-1env", False),
    ("a quoted word keeps its space", '"data base"', True),
    ("equal", "env=prod", True),
    ("the whole value", "env=pro", False),
    ("case counts in values", "env=Prod", False),
    ("not equal", "env!=prod", False),
    ("a label that is lacking is empty", "zone=", True),
    ("and is not equal to anything else", "zone!=eu", True),
    ("a pattern", "rack=~a.*", True),
    ("a pattern matches the whole value", "rack=~a", False),
    ("a pattern that must not match", "rack!~b[0-9]+", True),
    ("a lacking label and a pattern", "zone=~.+", False),
    ("a quoted value", 'team="data base"', True),
    ("the last quote still to be typed", 'team="data base', True),
    ("all terms must hold", "web env=prod rack!~a.*", False),
]


@pytest.mark.parametrize(("text", "holds"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_filter_finds(text: str, holds: bool) -> None:
    assert parse_filter(text).holds(haystack_of("Web-1", LABELS), LABELS) is holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rack=~(", "“(” is no pattern: missing )"),
        (f"rack=~{'a' * 300}", "at most 200"),
        ("rack=~.{900}", "too large"),
        ("x " * FILTER_MAX_CHARS, f"at most {FILTER_MAX_CHARS}"),
        (" ".join("abcdefghijklmnopqrstu"), "at most 20"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidQuery) as refused:
        parse_filter(text)
    assert said in refused.value.detail


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        found = parse_filter(text)
    except InvalidQuery:
        return
    assert bool(found) == (found != Filter())
    found.holds(haystack_of("node", LABELS), LABELS)


SIMPLE = st.text("ab.*?+()|1", min_size=1, max_size=8)


@given(SIMPLE, st.text("ab1", max_size=6))
def test_patterns_mean_what_they_mean_elsewhere(pattern: str, value: str) -> None:
    try:
        expected = re.compile(pattern).fullmatch(value) is not None
        matcher = parse_filter(f"rack=~{pattern}").matchers[0]
    except (re.error, InvalidQuery):
        return
    assert matcher.holds({"rack": value}) is expected


def test_a_pattern_made_to_run_for_years_does_not() -> None:
    matcher = parse_filter("rack=~(a+)+b").matchers[0]
    started_s = time.monotonic()
    assert not matcher.holds({"rack": "a" * LABEL_VALUE_MAX_CHARS})
    assert time.monotonic() - started_s < 0.5
