"""Monitors in the agent, as far as they are pure: what is allowed, what is signed, what becomes of results."""

import base64
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.monitors import bundle
from agent.monitors.allowed import Allowed, allowed, checked_public_key
from agent.monitors.bundle import Monitor, Trust, Untrusted, opened
from agent.monitors.reports import Samples
from agent.sandbox import Result, Sample
from domain import bundles
from domain.monitors import CAPABILITIES, LIMITS, MONITORS_MAX
from tests.monitor_server import ACCOUNT, entry

PRIVATE = b"k" * 32
TRUST = Trust(base64.b64encode(bundles.public_key(PRIVATE)).decode(), "k1", str(ACCOUNT))


@pytest.mark.parametrize("text", [None, "0", "no", "False"])
def test_nothing_is_allowed_unless_somebody_says_so(text: str | None) -> None:
    assert allowed(text) is None


@pytest.mark.parametrize("text", ["", "yes", "1"])
def test_monitors_that_reach_nothing(text: str) -> None:
    assert allowed(text) == Allowed()


def test_everything_that_can_be_allowed() -> None:
    found = allowed("http, tcp=DB-1:5432,tcp=10.0.0.1,file=/var/log,file=/srv,exec=/etc/metrist/commands.d")
    assert found is not None
    assert found.capabilities == set(CAPABILITIES)
    assert (found.names("http"), found.names("tcp")) == (frozenset(), {"db-1:5432", "10.0.0.1"})
    assert found.folders == (Path("/var/log").resolve(), Path("/srv").resolve())
    assert found.commands == Path("/etc/metrist/commands.d").resolve()
    assert found.missing(["exec", "gpu", "http"]) == ["gpu"]
    told = found.facts()
    assert told["monitors"] == "exec,file,http,tcp"
    assert "tcp=db-1:5432" in told["monitors_within"] and len(told["monitors_within"]) <= 200


@pytest.mark.parametrize("text", ["ftp", "file", "exec", "file=log", "tcp=a b", "http,,tcp", "http=x/y"])
def test_what_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ValueError):
        allowed(text)


def test_a_set_as_the_server_signs_it_opens() -> None:
    parameters = {"x": 1e15, "n": 7, "y": 0.1, "z": True}
    monitor = {"name": "a", "script": "gauge('ä', 1)", "parameters": parameters}
    found = opened(signed(monitor), TRUST, "web-1")
    assert (found.hash, found.monitors[0].parameters) == (bundles.hash_of([entry(monitor)]), parameters)
    assert found.monitors[0].script == "gauge('ä', 1)"


def test_every_set_of_the_server_fits() -> None:
    for name, (least, most) in LIMITS.items():
        for value in (least, most):
            opened(signed({"name": "a", "script": "x = 1", "limits": {name: value}}), TRUST, "web-1")
    assert bundle.MONITORS_MAX == MONITORS_MAX


@given(st.data())
def test_no_other_set_opens(data: st.DataObject) -> None:
    """Any change of what is signed, and any other signature, is noticed."""
    whole = signed({"name": "a", "script": "x = 1"})
    place = data.draw(st.integers(0, len(whole) - 1))
    letter = data.draw(st.sampled_from([b"0", b"9", b"a", b"Z", b'"', b"}", b" ", b"\xff"]))
    changed = whole[:place] + letter + whole[place + 1 :]
    try:
        found = opened(changed, TRUST, "web-1")
    except Untrusted:
        return
    original = opened(whole, TRUST, "web-1")
    assert (found.monitors, found.hash, found.issued_at) == (original.monitors, original.hash, original.issued_at)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b"null", b"[" * 10_000, b'{"monitors": 1}'])
def test_no_set_at_all(body: bytes) -> None:
    with pytest.raises(Untrusted, match="wrong shape"):
        opened(body, TRUST, "web-1")


@pytest.mark.parametrize("text", ["x", "AAAA", base64.b64encode(b"x" * 31).decode()])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(ValueError, match="no monitor key"):
        checked_public_key(text)


def test_samples_carry_their_monitors_name_and_labels() -> None:
    monitor = Monitor("1", "disk", 1, "", labels={"team": "a", "kind": "x"})
    result = Result(
        "ok", samples=[Sample("gauge", "m", 1.5, {"kind": "y", "path": 'a"b'}), Sample("counter", "c", 10.0)]
    )
    samples = Samples()
    assert samples.metrics(monitor, result, 100.0) == {'m{kind="y",monitor="disk",path="a\\"b",team="a"}': 1.5}
    again = Result("ok", samples=[Sample("counter", "c", 40.0)])
    assert samples.metrics(monitor, again, 110.0) == {'c{kind="x",monitor="disk",team="a"}': 3.0}
    assert samples.metrics(Monitor("1", "disk", 2, ""), again, 120.0) == {}, "another version counts anew"


def signed(monitor: dict[str, Any]) -> bytes:
    return bundles.signed(PRIVATE, ACCOUNT, "web-1", [entry(monitor)], 1_800_000_000)
