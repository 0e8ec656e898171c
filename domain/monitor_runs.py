"""What nodes report of their runs of monitors, and what is remembered of it: one `Record` a node and monitor."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal
from uuid import UUID

import msgspec

from domain.errors import InvalidBody, MalformedBody
from domain.monitors import Spec, is_able
from domain.nodes import NodeState
from domain.rollouts import Progress

REPORTS_MAX: Final = 500
STATUSES_MAX: Final = 50
VALUES_MAX: Final = 1_000
LOG_LINES_MAX: Final = 60
LOG_KEPT: Final = 20
"""Lines that are remembered of the last run."""
TEXT_MAX_CHARS: Final = 1_000
KEEP_EVERY_S: Final = 600
"""A run like the one before is kept so often; thousands of nodes run monitors every few seconds."""
AHEAD_S: Final = 600.0

State = Literal["ok", "failed", "timeout", "refused"]
Short = Annotated[str, msgspec.Meta(max_length=TEXT_MAX_CHARS)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=1e12)]


class Status(msgspec.Struct):
    """How something is, in the monitor's own words."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    state: Literal["ok", "warning", "critical", "unknown"]
    message: Short = ""


class Value(msgspec.Struct):
    """A sample as a trial run shows it."""

    name: Annotated[str, msgspec.Meta(max_length=200)]
    value: float
    kind: Literal["gauge", "counter"] = "gauge"
    labels: dict[str, str] = {}


class Report(msgspec.Struct):
    """One run.

    id       of the monitor
    at       when it began, Unix seconds by the agent's clock
    line     of the script, where it went wrong; 0 for none
    samples  how many it sent
    trial    id of the command that asked for this run alone; then `values` are its samples, which are not sent
    """

    id: str
    version: Count
    state: State
    at: float
    message: Short = ""
    line: Count = 0
    took_ms: Amount = 0.0
    cpu_ms: Amount = 0.0
    memory_bytes: Count = 0
    samples: Count = 0
    statuses: Annotated[list[Status], msgspec.Meta(max_length=STATUSES_MAX)] = []
    log: Annotated[list[Short], msgspec.Meta(max_length=LOG_LINES_MAX)] = []
    trial: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    values: Annotated[list[Value], msgspec.Meta(max_length=VALUES_MAX)] = []


class Record(msgspec.Struct, frozen=True):
    """What is remembered of a monitor on a node: its last run, and how the runs of that version went.

    heard_ms  when we were told, by our clock; `kept_ms` of the last run that was to be kept
    ok        runs of this version that went well, `failed` that did not, `in_a_row` of them the last ones
    """

    version: int
    heard_ms: int
    at: float
    state: State
    message: str
    line: int
    took_ms: float
    cpu_ms: float
    memory_bytes: int
    samples: int
    ok: int
    failed: int
    in_a_row: int
    statuses: tuple[Status, ...] = ()
    log: tuple[str, ...] = ()
    kept_ms: int = 0


_Reports = Annotated[list[Report], msgspec.Meta(max_length=REPORTS_MAX)]
_decoder: msgspec.json.Decoder[list[Report]] = msgspec.json.Decoder(_Reports)


def parse(body: bytes, now_s: float) -> list[Report]:
    """Reports as a node sends them; raises MalformedBody, InvalidBody with what to change."""
    try:
        reports: list[Report] = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise InvalidBody(f"the reports have the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedBody(f"the reports are not JSON: {error}", offset=0) from error
    for report in reports:
        _check(report, now_s)
    return reports


def merge(known: Record | None, report: Report, heard_ms: int) -> Record:
    """What is remembered after one more report; one that comes out of order changes nothing."""
    if known is not None and report.at <= known.at:
        return known
    before = known if known is not None and known.version == report.version else None
    is_bad = report.state != "ok"
    after = Record(
        version=report.version,
        heard_ms=heard_ms,
        at=report.at,
        state=report.state,
        message=report.message,
        line=report.line,
        took_ms=report.took_ms,
        cpu_ms=report.cpu_ms,
        memory_bytes=report.memory_bytes,
        samples=report.samples,
        ok=(before.ok if before else 0) + (report.state == "ok"),
        failed=(before.failed if before else 0) + is_bad,
        in_a_row=(before.in_a_row if before else 0) + 1 if is_bad else 0,
        statuses=tuple(report.statuses),
        log=tuple(report.log[-LOG_KEPT:]),
        kept_ms=known.kept_ms if known else 0,
    )
    return msgspec.structs.replace(after, kept_ms=heard_ms) if is_worth_keeping(known, after) else after


def is_worth_keeping(before: Record | None, after: Record) -> bool:
    """Whether a run tells more than the one before it: it went otherwise, or nothing was kept for a while."""
    if before is None or after.heard_ms - before.kept_ms >= KEEP_EVERY_S * 1000:
        return True
    return _outcome(before) != _outcome(after)


def progress(
    node: str, state: NodeState, agent: Mapping[str, Any], pushed: int, spec: Spec, record: Record | None
) -> Progress:
    """What a rollout looks at of one node: reports of other versions than the one that is pushed do not count.

    A node that allows what the version declares and refuses to run it all the same was asked for more: that is a fault.
    """
    told = record if record is not None and record.version == pushed else None
    able = state == NodeState.ONLINE and is_able(spec, agent)
    if told is None:
        return Progress(node, able)
    return Progress(node, able, told.ok, told.failed, told.in_a_row, why(told), told.samples)


def why(record: Record) -> str:
    """What went wrong in the last run, with its line."""
    return f"line {record.line}: {record.message}" if record.line and record.message else record.message


def _outcome(record: Record) -> tuple[object, ...]:
    """How a run went; what statuses say beside their states may be another number each time."""
    states = tuple((status.name, status.state) for status in record.statuses)
    return record.version, record.state, record.line, record.message, states


def _check(report: Report, now_s: float) -> None:
    try:
        UUID(report.id)
    except ValueError as error:
        raise InvalidBody("a report's id is that of a monitor") from error
    if not math.isfinite(report.at) or report.at < 0:
        raise InvalidBody("a report's `at` is Unix seconds")
    report.at = min(report.at, now_s + AHEAD_S)  # a clock that was ahead must not silence what comes after
    texts = [report.message, *report.log, *(each.message for each in report.statuses)]
    if any("\x00" in text for text in texts):
        raise InvalidBody("texts hold no U+0000")
