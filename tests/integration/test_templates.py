"""Bodies of an account's own: rendered as they say, and no further than a body goes, whoever wrote the template."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboards.notices.form import FIRST_TEMPLATE
from domain.errors import InvalidBody
from domain.templates import BODY_MAX_BYTES, Template, check, examples, facts_of
from rendering import process, render
from tests.hostile_templates import BOMBS, ESCAPES, GIVEN_AWAY

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
FIRES, ENDS = examples("on call", "https://metrist.example.org", NOW)
ENDS_WITHIN_S = process.WALL_S + 1.0


def body(source: str, escapes: str = "json", message: Any = FIRES, **sealed: str) -> str:
    return render(Template(source, escapes), [facts_of(message, sealed)])[0]


def refusal(source: str) -> InvalidBody:
    with pytest.raises(InvalidBody) as refused:
        body(source)
    return refused.value


def test_a_body_says_what_its_template_says() -> None:
    source = (
        '{"what": "{{ status }}: {{ headline }}", "of": {{ notices[0].labels | tojson }},\n'
        '{% for notice in notices %}\n "{{ loop.index }}": {{ notice.value }},\n{% endfor %}\n'
        '"key": "{{ sealed.routing_key }}", "over": {{ notices[0].is_over }}}'
    )
    found = json.loads(body(source, routing_key="R0"))
    assert found == {
        "what": 'firing: CPU "busy": 2 firing',
        "of": {"node": "web-1", "core": "2"},
        "1": 93.5,
        "2": None,
        "key": "R0",
        "over": False,
    }
    assert body("{{ status }}, {{ notices[0].lasted }}", "text", ENDS) == "resolved, 12 min"


@settings(max_examples=8, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=20, max_size=20))
def test_no_value_says_more_than_a_value_in_json(texts: list[str]) -> None:
    facts = facts_of(FIRES, {str(place): text for place, text in enumerate(texts)})
    source = '{"a": [{% for key, text in sealed.items() %}"{{ text }}", {{ text | tojson }}, {% endfor %}0]}'
    (found,) = render(Template(source), [facts])
    assert json.loads(found) == {"a": [*(text for one in texts for text in (one, one)), 0]}


def test_no_value_adds_a_field_to_a_form() -> None:
    assert body("text={{ sealed.x }}&a=1", "form", x="a&b=c\nd%") == "text=a%26b%3Dc%0Ad%25&a=1"


def test_a_label_that_is_missing_is_empty_and_a_typing_error_is_none() -> None:
    assert body("{{ notices[1].labels.core }}|{{ notices[1].labels['core'] }}|{{ group.nope }}", "text") == "||"
    assert refusal("{{ notices[0].sevrity }}").detail.startswith("Line 1 of the template")


@pytest.mark.parametrize(
    ("source", "line", "said"),
    [
        ("{\n\n{{ headline }", 3, "unexpected '}'"),
        ('{\n"a": {{ headlin }}}', 2, "'headlin' is undefined"),
        ("{% for n in notices %}\n{{ n.labels.node | nope }}\n{% endfor %}", 2, "No filter named 'nope'"),
        ("\n\n\n{% if status %}", 4, "Unexpected end of template"),
        ("a\n{{ 1 / 0 }}", 2, "ZeroDivisionError"),
        ("a\n\n{% for n in notices %}\n{{ n.value + 'x' }}\n{% endfor %}", 4, "TypeError"),
        ("{% macro x() %}{% endmacro %}", 1, "“macro” is not part"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(source: str, line: int, said: str) -> None:
    (error,) = refusal(source).errors
    assert error["line"] == line
    assert said in error["message"]


def test_what_the_form_begins_with_is_a_template() -> None:
    found = json.loads(body(FIRST_TEMPLATE))
    assert (found["title"], len(found["lines"])) == ('CPU "busy": 2 firing', 2)
    assert body("{{ 'a' if not is_firing }}|{{ ('a' if not is_firing) | tojson }}") == '|""'


def test_what_is_no_json_is_told_with_its_place() -> None:
    template = Template('{"a": 1,\n}')
    with pytest.raises(InvalidBody, match=r"line 2, column 1, near “\{"):
        check(template, render(template, [facts_of(FIRES, {})])[0])


def test_nobody_gets_out_of_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the corpus in one child, as a child of their own for each takes ten seconds."""
    lines = (
        "import sys; sys.path += sys.argv[1:]; import child, json",
        "one = child._done",
        "done = lambda job: {'bodies': [json.dumps(one({**job, 'source': it})) for it in json.loads(job['source'])]}",
        "child._done = done; child.main()",
    )
    monkeypatch.setattr(process, "_CHUNK", "\n".join(lines))
    said = render(Template(json.dumps(ESCAPES), "text"), [facts_of(FIRES, {})])
    assert len(said) == len(ESCAPES)
    for source, answer in zip(ESCAPES, map(json.loads, said), strict=True):
        shown = "".join(answer.get("bodies", ()))
        assert not [word for word in GIVEN_AWAY if word in shown], source
        assert shown == "" or "message" not in answer, source


@pytest.mark.parametrize("source", BOMBS, ids=range(len(BOMBS)))
def test_a_bomb_harms_nothing_but_its_own_body(source: str) -> None:
    began_s = time.monotonic()
    refusal(source)
    assert time.monotonic() - began_s < ENDS_WITHIN_S


def test_a_body_has_a_largest_size() -> None:
    assert len(body("{{ 'a' * 200000 }}", "text")) < BODY_MAX_BYTES
    assert "262,144 bytes" in refusal("{{ 'a' * 200000 }}{{ 'b' * 100000 }}").detail


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("open('/etc/passwd')", "Too many open files"),
        ("__import__('socket').socket()", "Too many open files"),
        ("__import__('os').fork()", "Resource temporarily unavailable"),
        ("bytearray(10 ** 9)", "MemoryError"),
    ],
)
def test_who_got_out_of_a_template_finds_nothing(monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    """The second wall, tried by a child whose first one is gone."""
    lines = (
        "import sys; sys.path += sys.argv[1:]; import child, os, socket",
        "def done(job):",
        f"    try: {code}",
        "    except BaseException as error: return {'message': repr(error)}",
        "child._done = done; child.main()",
    )
    monkeypatch.setattr(process, "_CHUNK", "\n".join(lines))
    assert said in refusal("x").detail
