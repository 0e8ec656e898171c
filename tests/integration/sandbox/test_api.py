"""What a monitor is given, and what its run gives back."""

import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sandbox import Inputs, Limits, Problem, Refused, Result, Sample, Status, Unable, check, run
from domain import series_key

FACTS = {"node": "web-1", "metrics": {'disk.used_percent{device="sda1",mount="/\\"a\\""}': 93.5, "load.1m": 2}}


def test_samples_statuses_and_log_lines() -> None:
    result = run(
        """
        gauge("queue.length", 3, {queue = "mail", shard = 2})
        counter("queue.done", 12)
        status("queue", "warning", "it grows")
        log("found", 3, nil, true)
        """
    )
    assert result.state == "ok"
    assert result.samples == [
        Sample("gauge", "queue.length", 3.0, {"queue": "mail", "shard": "2"}),
        Sample("counter", "queue.done", 12.0),
    ]
    assert result.statuses == [Status("queue", "warning", "it grows")]
    assert result.log == ["found\t3\tnil\ttrue"]
    assert result.cpu_ms > 0 and result.took_ms > result.cpu_ms


def test_facts_series_and_parameters() -> None:
    result = run(
        """
        for _, each in ipairs(series("disk.used_percent")) do
          gauge("used", each.value, {mount = each.labels.mount, node = facts.node})
        end
        gauge("load", facts.metrics["load.1m"])
        gauge("limit", param("limit"))
        gauge("other", param("other", 7))
        assert(tostring(param("limit")) == "90")
        assert(#series("nothing") == 0)
        """,
        Inputs(FACTS, {"limit": 90}),
    )
    assert result.message == ""
    assert [(each.value, each.labels) for each in result.samples] == [
        (93.5, {"mount": '/"a"', "node": "web-1"}),
        (2.0, {}),
        (90.0, {}),
        (7.0, {}),
    ]


def test_json() -> None:
    result = run("""local x = json.decode('{"a": [1, {"b": "c"}], "n": null}') log(x.a[1], x.a[2].b, x.n) """)
    assert result.log == ["1\tc\tnil"]


@pytest.mark.parametrize(
    ("source", "line", "message"),
    [
        ("\nlocal x = = 1", 2, "unexpected symbol near '='"),
        ("local x\n\nx.y = 1", 3, "attempt to index a nil value (local 'x')"),
        ("\nerror('as I say')", 2, "as I say"),
        ("\nerror('without a place', 0)", 2, "without a place"),
        ("\n\ngauge('a b', 1)", 3, "a b is no metric name"),
        ("\ngague('a', 1)", 2, "nothing here is called gague"),
        ("\n\nparam('x')", 3, "there is no parameter x"),
        ("\nhttp.get(1)", 2, "what http.get gets must be a table, not number"),
        ("local function f() gauge('a', {}) end\nf()", 1, "the value of a must be a number, not table"),
    ],
)
def test_an_error_names_its_line(source: str, line: int, message: str) -> None:
    result = run(source)
    assert result.state == "failed"
    assert (result.line, result.message[: len(message)]) == (line, message)


def test_what_was_said_before_an_error_is_kept() -> None:
    result = run("gauge('a', 1) log('b') error('c')")
    assert (result.state, len(result.samples), result.log) == ("failed", 1, ["b"])


def test_a_loop_names_its_line() -> None:
    result = run("local x = 0\n\nwhile true do x = x + 1 end", limits=Limits(cpu_s=0.2))
    assert (result.state, result.line, result.message) == ("timeout", 3, "it computed for more than 0.2 s")


def test_check_runs_nothing() -> None:
    assert check("while true do end") == []
    assert check("x = 1\ny = ") == [Problem(2, "unexpected symbol near <eof>")]
    assert check("-" * 70_000) == [Problem(0, "a monitor has at most 65536 bytes")]


def test_what_it_asks_for_is_answered() -> None:
    asked: list[tuple[str, Mapping[str, Any]]] = []

    def answer(kind: str, args: Mapping[str, Any], _until_s: float) -> Any:
        asked.append((kind, args))
        match kind:
            case "http.get":
                return {"status": 200, "body": "x" * 300_000}
            case "tcp.check":
                raise Unable("refused by the other end")
        raise Refused("this node does not allow it")

    result = run(
        """
        local page = http.get{url = "http://x", headers = {Accept = "*/*"}}
        gauge("size", #page.body)
        local ms, problem = tcp.check("x", 80, 2)
        log(ms, problem)
        local ok, why = pcall(exec.run, "x")
        log(why)
        file.stat("/etc/passwd")
        """,
        ask=answer,
    )
    assert asked == [
        ("http.get", {"url": "http://x", "headers": {"Accept": "*/*"}}),
        ("tcp.check", {"host": "x", "port": 80, "timeout": 2}),
        ("exec.run", {"name": "x"}),
        ("file.stat", {"path": "/etc/passwd"}),
    ]
    assert result.samples[0].value == 300_000
    assert result.log == ["nil\trefused by the other end", "monitor:6: this node does not allow it"]
    assert (result.state, result.line, result.message) == ("refused", 8, "this node does not allow it")


TEXTS = st.text(max_size=40) | st.sampled_from(["a", "cpu.usage", "x" * 201, "a{b", "", "monitor", "ok", "critical"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
CALLS = st.tuples(
    st.sampled_from(["gauge", "counter", "status", "log", "param", "series", "json.decode", "http.get", "string.rep",
                     "string.format", "setmetatable", "file.tail", "tls.expiry", "table.concat", "utf8.char"]),
    st.lists(VALUES, max_size=4),
)  # fmt: skip


@settings(max_examples=40)
@given(st.lists(CALLS, min_size=1, max_size=20))
def test_whatever_it_calls_only_good_samples_come_out(calls: list[tuple[str, list[Any]]]) -> None:
    lines = [f"pcall({name}{''.join(', ' + _lua(each) for each in args)})" for name, args in calls]
    result = run("\n".join(lines), limits=Limits(cpu_s=0.5))
    assert result.state == "ok", (lines, result)
    for sample in result.samples:
        series_key.check_metric(sample.name)
        series_key.check_labels(sample.labels)


def test_the_limits_of_names_are_those_of_the_server() -> None:
    limits = Limits()
    assert limits.name_bytes <= series_key.METRIC_MAX_CHARS
    assert limits.label_key_bytes <= series_key.LABEL_KEY_MAX_CHARS
    assert limits.label_value_bytes <= series_key.LABEL_VALUE_MAX_CHARS
    assert limits.labels < series_key.LABELS_MAX


def test_no_result_says_more_than_it_may() -> None:
    assert isinstance(run("for i = 1, 500 do gauge('a' .. i, i, {l = string.rep('x', 256)}) end"), Result)


def _lua(value: Any) -> str:
    """A value as Lua writes it."""
    if isinstance(value, str):
        return '"' + "".join(f"\\{byte:03d}" for byte in value.encode(errors="replace")) + '"'
    if isinstance(value, list):
        return "{" + ", ".join(map(_lua, value)) + "}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"[{_lua(key)}] = {_lua(each)}" for key, each in value.items()) + "}"
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": "(1/0)", "-inf": "(-1/0)", "nan": "(0/0)"}[repr(value)]
    return "nil" if value is None else f"({str(value).lower()})"
