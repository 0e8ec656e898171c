"""Reports of runs: what is taken, what is remembered, and what a rollout makes of it."""

import contextlib
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import monitor_runs
from domain.errors import InvalidBody, MalformedBody
from domain.monitor_runs import Record, Report, merge, progress
from domain.monitors import Spec
from domain.nodes import NodeState

NOW_S = 1_767_225_600.0
ID = str(UUID(int=1))
ABLE = {"monitors": "file"}


def report(at: float, state: str = "ok", version: int = 2, **more: Any) -> Report:
    return monitor_runs.parse(
        json.dumps([{"id": ID, "version": version, "state": state, "at": NOW_S + at, **more}]).encode(), NOW_S
    )[0]


def remembered(*reports: Report) -> Record:
    record: Record | None = None
    for one in reports:
        record = merge(record, one, 1)
    assert record
    return record


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (b"", MalformedBody),
        (b"[{]", MalformedBody),
        (b"\xff", MalformedBody),
        (b"{}", InvalidBody),
        (b'[{"id": "x", "version": 1, "state": "ok", "at": 1}]', InvalidBody),
        (json.dumps([{"id": ID, "version": 1, "state": "great", "at": 1}]).encode(), InvalidBody),
        (json.dumps([{"id": ID, "version": -1, "state": "ok", "at": 1}]).encode(), InvalidBody),
        (json.dumps([{"id": ID, "version": 1, "state": "ok", "at": -1}]).encode(), InvalidBody),
        (json.dumps([{"id": ID, "version": 1, "state": "ok", "at": 1, "message": "x" * 1_001}]).encode(), InvalidBody),
        (json.dumps([{"id": ID, "version": 1, "state": "ok", "at": 1, "message": "\x00"}]).encode(), InvalidBody),
        (json.dumps([{"id": ID, "version": 1, "state": "ok", "at": 1}] * 501).encode(), InvalidBody),
    ],
)
def test_what_is_no_report_is_refused(body: bytes, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        monitor_runs.parse(body, NOW_S)


@given(st.binary(max_size=200))
def test_whatever_comes_is_reports_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(InvalidBody, MalformedBody):
        monitor_runs.parse(body, NOW_S)


def test_runs_of_a_version_are_counted() -> None:
    record = remembered(report(1), report(2, "failed", message="nil", line=3), report(3), report(4, "timeout"))
    assert (record.ok, record.failed, record.in_a_row, record.state) == (2, 2, 1, "timeout")
    again = merge(record, report(5, "timeout"), 1)
    assert (again.failed, again.in_a_row) == (3, 2)


def test_another_version_begins_anew() -> None:
    record = remembered(report(1, "failed"), report(2, version=3))
    assert (record.version, record.ok, record.failed) == (3, 1, 0)


def test_what_comes_late_or_twice_changes_nothing() -> None:
    record = remembered(report(1), report(3))
    assert merge(record, report(2, "failed", version=1), 1) == record == merge(record, report(3), 1)


def test_a_clock_that_was_ahead_silences_nobody_for_long() -> None:
    assert report(86_400).at == NOW_S + 600


@pytest.mark.parametrize(
    ("state", "agent", "record", "is_able", "ok"),
    [
        (NodeState.ONLINE, ABLE, None, True, 0),
        (NodeState.LATE, ABLE, None, False, 0),
        (NodeState.ONLINE, {}, None, False, 0),
        (NodeState.ONLINE, ABLE, remembered(report(1)), True, 1),
        (NodeState.ONLINE, ABLE, remembered(report(1, version=1)), True, 0),
        (NodeState.ONLINE, ABLE, remembered(report(1, "refused")), True, 0),
    ],
)
def test_a_rollout_looks_at_runs_of_what_was_pushed(
    state: NodeState, agent: dict[str, str], record: Record | None, is_able: bool, ok: int
) -> None:
    seen = progress("web-1", state, agent, 2, Spec(script="x"), record)
    assert (seen.is_able, seen.ok) == (is_able, ok)


def test_what_went_wrong_is_told_with_its_line() -> None:
    seen = progress(
        "web-1", NodeState.ONLINE, ABLE, 2, Spec(script="x"), remembered(report(1, "failed", message="nil", line=3))
    )
    assert seen.message == "line 3: nil" and seen.is_broken


def test_who_is_asked_for_more_than_a_version_declares_breaks_it() -> None:
    refused = remembered(report(1, "refused", message="http.get needs the capability http"))
    assert progress("web-1", NodeState.ONLINE, ABLE, 2, Spec(script="x"), refused).is_broken
