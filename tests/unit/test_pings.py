"""What a ping may say, and how wrong ones are explained."""

import json
from collections import Counter
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import pings
from domain.commands import MESSAGE_MAX_CHARS
from domain.errors import InvalidBody, MalformedBody
from domain.ids import AccountId
from domain.pings import AGENT_FACTS_MAX, FINISHED_MAX, INTERVAL_MAX_S, Ping, Report

ACCOUNT = AccountId(UUID("0190b2c4-0000-7000-8000-000000000001"))


def parsed(**body: Any) -> Ping:
    return pings.parse(json.dumps({"node": "web-1", **body}).encode())


def test_only_the_node_is_needed() -> None:
    assert pings.parse(b'{"node": "web-1"}') == Ping("web-1")


def test_everything_that_a_ping_may_say() -> None:
    ping = parsed(
        instance="i-1",
        sent_at=1_800_000_000.5,
        wait=30,
        finished=[{"id": "c1", "state": "done"}, {"id": "c2", "state": "failed", "message": "no"}],
        ping_interval_s=60,
        agent={"version": "1.0", "cores": 8, "load": 0.5, "container": True, "note": None},
        labels={"role": "web"},
        monitors="abc",
        of_a_later_version={"x": [1]},
    )
    assert ping.finished == [Report("c1", "done"), Report("c2", "failed", "no")]
    assert (ping.wait, ping.agent, ping.labels) == (
        30,
        {"version": "1.0", "cores": 8, "load": 0.5, "container": True, "note": None},
        {"role": "web"},
    )


@pytest.mark.parametrize(
    ("body", "offset"),
    [
        (b"", 0),
        (b" \n", 0),
        (b"x", 0),
        (b'{"node": "a"', 12),
        (b'{"node": NaN}', 9),
        (b'{"node": "a", "labels": {"x": "\xff"}}', 31),
    ],
)
def test_malformed_bodies_name_the_byte(body: bytes, offset: int) -> None:
    with pytest.raises(MalformedBody) as refused:
        pings.parse(body)
    assert refused.value.extra == {"offset": offset}


def test_a_body_may_not_nest_without_end() -> None:
    with pytest.raises(MalformedBody, match="nests too deeply"):
        pings.parse(b'{"node": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"node": 1}, r"\$\.node"),
        ({"node": ".a"}, "node name"),
        ({"node": "a\n"}, "node name"),
        ({"wait": -0.1}, "wait"),
        ({"wait": "long"}, r"\$\.wait"),
        ({"sent_at": 1e12}, "sent_at"),
        ({"ping_interval_s": -1}, "ping_interval_s"),
        ({"instance": ""}, "instance"),
        ({"instance": "x" * 65}, "instance"),
        ({"instance": "ü"}, "instance"),
        ({"labels": {"1a": "x"}}, "label"),
        ({"labels": {"a": 1}}, r"\$\.labels"),
        ({"agent": {"os": "a\x07b"}}, "agent"),
        ({"agent": {"o\x00s": "x"}}, "agent"),
        ({"agent": {"os": "x" * 201}}, r"\$\.agent"),
        ({"agent": {"os": ["x"]}}, r"\$\.agent"),
        ({"agent": {str(n): n for n in range(AGENT_FACTS_MAX + 1)}}, r"\$\.agent"),
        ({"finished": [{"id": "c1", "state": "leased"}]}, r"\$\.finished"),
        ({"finished": [{"id": "c1", "state": "done"}] * (FINISHED_MAX + 1)}, r"\$\.finished"),
        ({"monitors": "x" * 201}, r"\$\.monitors"),
    ],
    ids=str,
)
def test_wrong_shapes_say_what_to_change(body: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidBody, match=says):
        parsed(**body)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_body_brings_us_down(body: bytes) -> None:
    try:
        assert isinstance(pings.parse(body), Ping)
    except (MalformedBody, InvalidBody) as refused:
        assert 0 <= refused.extra.get("offset", 0) <= len(body)


@pytest.mark.parametrize(
    ("wait", "interval_s", "most_s", "held_s"),
    [(0, 10, 55, 0), (5, 10, 55, 5), (30, 10, 55, 10), (30, 60, 25, 25), (55, 60, 55, 55)],
)
def test_a_ping_is_held_no_longer_than_its_interval(
    wait: float, interval_s: float, most_s: float, held_s: float
) -> None:
    assert pings.hold_s(Ping("a", wait=wait), interval_s, most_s) == held_s


@pytest.mark.parametrize(
    ("says_s", "asked_s", "expected_s"),
    [(None, 10, 10), (1, 10, 10), (60, 10, 60), (1e9, 10, INTERVAL_MAX_S), (None, 7_200, 7_200), (1e9, 7_200, 7_200)],
)
def test_a_node_may_be_slower_than_asked_but_not_for_ever(
    says_s: float | None, asked_s: float, expected_s: float
) -> None:
    assert pings.expected_s(Ping("a", ping_interval_s=says_s), asked_s) == expected_s


def test_a_report_is_cut_to_what_we_keep() -> None:
    assert pings.report(Report("c1", "done")) == ("c1", "done", "")
    assert pings.report(Report("c1", "failed", "x" * 9_999)) == ("c1", "failed", "x" * MESSAGE_MAX_CHARS)


@given(st.floats(0, 2e9), st.floats(0.2, 3_600), st.text(min_size=1))
def test_a_node_is_never_asked_later_than_the_interval(now_s: float, interval_s: float, node: str) -> None:
    asked_s = pings.next_s(ACCOUNT, node, now_s, interval_s)
    assert (1 - pings.EARLIER_MOST) * interval_s <= asked_s <= interval_s


@pytest.mark.parametrize("late_s", [0.0, 0.004, -0.001], ids=["on time", "answered late", "timer early"])
def test_a_fleet_that_comes_at_once_is_spread_evenly_and_stays_so(late_s: float) -> None:
    """Ten thousand nodes within a second; afterwards each second of the interval has its tenth of them."""
    heard_s = {f"node-{number}": 1_800_000_000 + number / 10_000 for number in range(10_000)}
    for _ in range(3):
        heard_s = {node: at + pings.next_s(ACCOUNT, node, at, 10.0) + late_s for node, at in heard_s.items()}
        seconds = Counter(int(at % 10) for at in heard_s.values())
    assert max(seconds.values()) < 1_100
    assert min(seconds.values()) > 900
