"""Admission: what of a body is kept, what is refused and why."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidBody, MalformedBody
from domain.snapshots import Admission, Admitted, Bounds

NOW_S = 1_767_225_600.0
BOUNDS = Bounds(NOW_S - 86_400, NOW_S, NOW_S + 600)


def admit(body: str | bytes, *, is_ndjson: bool = False, admission: Admission | None = None) -> Admitted:
    raw = body.encode() if isinstance(body, str) else body
    return (admission or Admission()).admit(raw, BOUNDS, is_ndjson=is_ndjson)


def kept(admitted: Admitted) -> list[dict[str, Any]]:
    return json.loads(admitted.snapshots) if admitted.snapshots else []


def snapshot(**changes: Any) -> dict[str, Any]:
    return {"node": "web-1", "ts": NOW_S, "metrics": {"cpu.user": 1.5, "mem.used": 2}} | changes


@pytest.mark.parametrize(
    ("body", "is_ndjson"),
    [
        pytest.param(json.dumps(snapshot()), False, id="object"),
        pytest.param(json.dumps([snapshot()]), False, id="array"),
        pytest.param(json.dumps(snapshot(), indent=2), False, id="pretty object"),
        pytest.param(json.dumps([snapshot()], indent=2), False, id="pretty array"),
        pytest.param(json.dumps(snapshot()) + "\n", True, id="ndjson"),
        pytest.param("\n\n" + json.dumps(snapshot()) + "\r\n\n", True, id="ndjson with blank lines"),
        pytest.param(json.dumps(snapshot(), separators=(",", ":")), True, id="compact"),
        pytest.param(json.dumps(snapshot(extra={"a": 1})), False, id="unknown field"),
    ],
)
def test_every_form_of_a_body_gives_the_same(body: str, is_ndjson: bool) -> None:
    admission = Admission()
    for _ in range(2):  # first with keys unknown, then with keys known
        admitted = admit(body, is_ndjson=is_ndjson, admission=admission)
        assert (admitted.accepted, admitted.refused, admitted.nodes) == (2, 0, {"web-1"})
        assert [entry["metrics"] for entry in kept(admitted)] == [{"cpu.user": 1.5, "mem.used": 2}]
        assert b"\n" not in admitted.snapshots


def test_known_good_bodies_keep_their_bytes() -> None:
    admission = Admission()
    line = json.dumps(snapshot(), separators=(",", ":"))
    admit(line, admission=admission)
    admitted = admit(f"{line}\n{line}\n", is_ndjson=True, admission=admission)
    assert admitted.snapshots == f"[{line},{line}]".encode()
    assert admitted.accepted == 4


def test_names_that_hold_colons_keep_their_bytes_too() -> None:
    admission = Admission()
    line = json.dumps(snapshot(node="rack:1", metrics={"job:rate": 1, 'x{a="b:c"}': 2}), separators=(",", ":"))
    admit(line, admission=admission)
    assert admit(f"{line}\n{line}", admission=admission).snapshots == f"[{line},{line}]".encode()


@pytest.mark.parametrize("twin", ['"job:rate":1,"job:rate":2', '"cpu.user":1,"cpu.user":2'])
def test_a_sample_named_twice_never_passes_as_it_came(twin: str) -> None:
    admission = Admission()
    for _ in range(2):
        admitted = admit(f'{{"node":"web-1","ts":{NOW_S},"metrics":{{{twin}}}}}', admission=admission)
        assert admitted.snapshots.count(b'":') == 3 + admitted.accepted == 4


def test_a_sample_named_twice_is_counted_once() -> None:
    admission = Admission()
    admit(json.dumps(snapshot(metrics={"x": 1})), admission=admission)
    admitted = admit('{"node":"web-1","ts":1767225600,"metrics":{"x":1,"x":2}}', admission=admission)
    assert admitted.accepted == 1
    assert kept(admitted)[0]["metrics"] == {"x": 2}


def test_labels_of_a_snapshot_join_those_of_each_metric() -> None:
    admitted = admit(json.dumps(snapshot(metrics={'d{b="2"}': 1, "e": 2}, labels={"a": "1", "b": "0"})))
    assert set(kept(admitted)[0]["metrics"]) == {'d{a="1",b="2"}', 'e{a="1",b="0"}'}


@pytest.mark.parametrize(
    ("changes", "reason", "accepted"),
    [
        pytest.param({"metrics": {"x": "1", "y": 2}}, "not-a-number", 1, id="text value"),
        pytest.param({"metrics": {"x": True, "y": 2}}, "not-a-number", 1, id="boolean"),
        pytest.param({"metrics": {"x": None, "y": 2}}, "not-a-number", 1, id="null"),
        pytest.param({"metrics": {"x": math.nan, "y": 2}}, "not-finite", 1, id="NaN"),
        pytest.param({"metrics": {"x": math.inf, "y": 2}}, "not-finite", 1, id="infinity"),
        pytest.param({"metrics": {"x": 10**400, "y": 2}}, "not-finite", 1, id="huge"),
        pytest.param({"metrics": {"1x": 1, "y": 2}}, "metric-name", 1, id="metric name"),
        pytest.param(
            {"metrics": {'x{a="1",b="2"}': 1, 'x{b="2",a="1"}': 2}}, "sample-twice", 1, id="same series twice"
        ),
        pytest.param({"metrics": [1]}, "metrics-type", 0, id="metrics an array"),
        pytest.param({"node": ""}, "node-name", 0, id="empty node"),
        pytest.param({"node": "a b"}, "node-name", 0, id="node with a space"),
        pytest.param({"node": "n" * 129}, "node-name", 0, id="node too long"),
        pytest.param({"node": 7}, "node-name", 0, id="node a number"),
        pytest.param({"labels": {"a": 1}}, "labels-type", 0, id="label a number"),
        pytest.param({"ts": NOW_S + 601}, "ts-future", 0, id="future"),
        pytest.param({"ts": NOW_S * 1000}, "ts-future", 0, id="milliseconds"),
        pytest.param({"ts": 1e300}, "ts-future", 0, id="far future"),
        pytest.param({"ts": NOW_S - 86_401}, "ts-past", 0, id="past"),
        pytest.param({"ts": -1}, "ts-past", 0, id="before 1970"),
        pytest.param({"ts": "yesterday"}, "ts-type", 0, id="text time"),
        pytest.param({"ts": "2026-01-01T00:00:00"}, "ts-type", 0, id="no offset"),
        pytest.param({"ts": [1]}, "ts-type", 0, id="time an array"),
    ],
)
def test_bad_samples_are_refused_and_good_ones_kept(changes: dict[str, Any], reason: str, accepted: int) -> None:
    admitted = admit(json.dumps([snapshot(**changes), snapshot(node="web-2")]))
    assert [refusal.reason for refusal in admitted.refusals] == [reason]
    assert admitted.accepted == accepted + 2
    assert admitted.refused == (1 if accepted or not isinstance(snapshot(**changes)["metrics"], dict) else 2)
    assert admitted.refusals[0].detail
    assert sum(len(entry["metrics"]) for entry in kept(admitted)) == admitted.accepted


@pytest.mark.parametrize("ts", ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", NOW_S, int(NOW_S)], ids=str)
def test_time_is_unix_seconds_or_rfc_3339(ts: Any) -> None:
    assert kept(admit(json.dumps(snapshot(ts=ts))))[0]["ts"] == NOW_S


def test_a_snapshot_without_time_is_now_and_not_recognised_as_a_resend() -> None:
    admitted = admit('{"node":"a","metrics":{"x":1}}')
    assert kept(admitted)[0]["ts"] == NOW_S
    assert not admitted.is_dated


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        pytest.param(b"", 0, id="empty"),
        pytest.param(b"  \n", 0, id="blank"),
        pytest.param(b'{"node":"a","metrics":{"x":1}', 29, id="cut off"),
        pytest.param(b'{"node":"a","metrics":{"x":}}', 27, id="no value"),
        pytest.param('{"node":"é","metrics":{"x":}}'.encode(), 28, id="offset counts bytes"),
        pytest.param(b'[{"node":"a","metrics":{"x":1}},]', 31, id="comma at the end"),
        pytest.param(b'{"node":"\xff"}', 9, id="not UTF-8"),
        pytest.param(b"not json", 0, id="text"),
    ],
)
def test_malformed_bodies_name_the_byte(body: bytes, offset: int) -> None:
    with pytest.raises(MalformedBody) as caught:
        admit(body)
    assert abs(caught.value.extra["offset"] - offset) <= 1


@pytest.mark.parametrize("body", ["[]"], ids=["empty array"])
def test_a_body_without_snapshots_is_invalid(body: str) -> None:
    with pytest.raises(InvalidBody):
        admit(body)


def test_deep_nesting_is_malformed_not_a_crash() -> None:
    with pytest.raises(MalformedBody):
        admit("[" * 100_000)


VALUES = st.one_of(st.floats(), st.integers(), st.text(max_size=3), st.booleans(), st.none())
KEYS = st.one_of(st.sampled_from(["cpu", 'd{a="1"}', 'd{b="1",a="2"}', "1bad", "", "x{"]), st.text(max_size=5))


SNAPSHOTS = st.fixed_dictionaries(
    {"node": st.sampled_from(["a", "b", "", "x y"]), "metrics": st.dictionaries(KEYS, VALUES, max_size=6)}
)


@given(st.lists(SNAPSHOTS, min_size=1, max_size=5))
def test_nothing_is_lost_that_is_not_counted(snapshots: list[dict[str, Any]]) -> None:
    admitted = admit(json.dumps(snapshots))
    sent = sum(len(entry["metrics"]) for entry in snapshots)
    unnamed = sum(1 for entry in snapshots if not entry["metrics"] and entry["node"] in ("", "x y"))
    assert admitted.accepted + admitted.refused == sent + unnamed
    assert admitted.accepted == sum(len(entry["metrics"]) for entry in kept(admitted))
