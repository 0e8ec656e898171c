"""What viewers may wish, what agents may send, and what may honestly be said meanwhile."""

import json
from typing import Any

import pytest

from domain.errors import InvalidBody, InvalidQuery, MalformedBody
from domain.live import METRICS_MAX, SAMPLES_MAX, LiveSnapshot, Node, Stage, chosen_of, parse, stage, unmeasured, wish
from domain.nodes import NodeState

NOW_MS = 1_800_000_000_000
ONLINE, OFFLINE = Node(NodeState.ONLINE, NOW_MS), Node(NodeState.OFFLINE, None)


def post(**changes: Any) -> bytes:
    body = {"node": "web-1", "snapshots": [{"ts": 1.5, "metrics": {'cpu.user{core="0"}': 2}}]} | changes
    return json.dumps(body).encode()


def test_a_wish_names_each_metric_once() -> None:
    assert wish("web-1", ["b", "a", "b"], 200).metrics == ("a", "b")


@pytest.mark.parametrize(
    ("node", "metrics", "every_ms"),
    [
        ("web-1", [], 1_000),
        ("web-1", [f"m{n}" for n in range(METRICS_MAX + 1)], 1_000),
        ("web-1", ["a"], 1),
        ("web 1", ["a"], 1_000),
        ("web-1", ["1a"], 1_000),
        ("web-1", ['a{b="c"}'], 1_000),
    ],
    ids=["none", "too many", "too fast", "node", "metric", "labels"],
)
def test_a_wish_nobody_can_fulfil_is_refused(node: str, metrics: list[str], every_ms: int) -> None:
    with pytest.raises(InvalidQuery):
        wish(node, metrics, every_ms)


def test_a_post_is_read() -> None:
    assert parse(post()).snapshots == [LiveSnapshot(1.5, {'cpu.user{core="0"}': 2})]


@pytest.mark.parametrize(
    "body",
    [
        post(node="a b"),
        post(snapshots=[]),
        post(snapshots=[{"ts": 1, "metrics": {"1x": 1}}]),
        post(snapshots=[{"ts": 1, "metrics": {"a": "1"}}]),
        post(snapshots=[{"ts": 1, "metrics": {f"m{n}": 1 for n in range(SAMPLES_MAX + 1)}}]),
    ],
    ids=["node", "empty", "name", "text", "too much"],
)
def test_a_post_of_another_shape_is_refused_whole(body: bytes) -> None:
    with pytest.raises(InvalidBody):
        parse(body)


@pytest.mark.parametrize("body", [b"", b"{", post().replace(b"1.5", b"NaN"), b"\xff"])
def test_a_post_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        parse(body)


def test_a_viewer_gets_only_what_was_wished_for() -> None:
    found = [LiveSnapshot(1, {"a": 1, 'a{b="c"}': 2, "ab": 3}), LiveSnapshot(2, {"ab": 4})]
    assert chosen_of(found, frozenset({"a"})) == [LiveSnapshot(1, {"a": 1, 'a{b="c"}': 2})]


@pytest.mark.parametrize(
    ("node", "last_ago_ms", "heard_ago_ms", "every_ms", "expected"),
    [
        (ONLINE, None, None, 1_000, Stage.WAITING),
        (OFFLINE, None, None, 1_000, Stage.OFFLINE),
        (OFFLINE, 0, 0, 1_000, Stage.LIVE),
        (ONLINE, 3_000, 3_000, 1_000, Stage.LIVE),
        (ONLINE, 3_001, 3_001, 1_000, Stage.STALLED),
        (ONLINE, 14_000, 14_000, 5_000, Stage.LIVE),
        (OFFLINE, 60_000, 60_000, 1_000, Stage.OFFLINE),
        (ONLINE, None, 500, 1_000, Stage.MISSING),
        (ONLINE, 4_000, 500, 1_000, Stage.MISSING),
    ],
    ids=[
        "asked",
        "asked an offline node",
        "points prove life",
        "just fresh",
        "stalled",
        "slow but fresh",
        "gone",
        "no such metric",
        "metric is gone",
    ],
)
def test_where_a_view_stands(
    node: Node, last_ago_ms: int | None, heard_ago_ms: int | None, every_ms: int, expected: Stage
) -> None:
    last, heard = (None if ago is None else NOW_MS - ago for ago in (last_ago_ms, heard_ago_ms))
    assert stage(node, last, heard, every_ms, NOW_MS) == expected


@pytest.mark.parametrize(
    ("heard_ago_ms", "every_ms", "missing"),
    [(None, 1_000, []), (2_999, 1_000, []), (3_000, 1_000, ["moon"]), (14_999, 5_000, []), (15_000, 5_000, ["moon"])],
    ids=["not heard", "too soon to say", "others come, this does not", "slow, too soon", "slow"],
)
def test_what_the_agent_does_not_measure_is_named(heard_ago_ms: int | None, every_ms: int, missing: list[str]) -> None:
    first_ms = None if heard_ago_ms is None else NOW_MS - heard_ago_ms
    assert unmeasured(["cpu", "moon"], {"cpu", "disk"}, first_ms, every_ms, NOW_MS) == missing
