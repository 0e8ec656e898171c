"""Reads series onto the grid of their plan: a value per slot, no times. Closed buckets are asked for once a minute."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec

from domain.ids import AccountId
from domain.series import SERIES_MAX, Across, Aggregation, Plan, Selector, closed_until
from schema import series
from schema.answers import Answers, question_of
from schema.clickhouse_client import ClickHouse

_SPLIT_FROM_STEP_S = 60
"""A window of shorter steps has moved on before its answer could be given again."""
_OPEN_SHARE_MAX = 0.25


@dataclass(frozen=True)
class Line:
    """One series: JSON arrays with a number or null for each slot.

    low and high are those of the samples in each bucket; None when both are the same as `main` everywhere.
    """

    metric: str
    node: str
    labelset: str
    main: bytes
    low: bytes | None
    high: bytes | None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.metric, self.node, self.labelset

    @property
    def size(self) -> int:
        """Bytes, about."""
        return len(self.main) + len(self.low or b"") + len(self.high or b"") + 200


@dataclass(frozen=True)
class Read:
    """Lines by metric, node and labels, and what they cost."""

    lines: Sequence[Line]
    rows_read: int
    engine_s: float


class _Statistics(msgspec.Struct):
    elapsed: float
    rows_read: int


class _Answer(msgspec.Struct):
    data: list[tuple[str, str, str, msgspec.Raw, msgspec.Raw, msgspec.Raw, int]]
    statistics: _Statistics


@dataclass(frozen=True)
class Source:
    """Where lines come from, and for whom."""

    clickhouse: ClickHouse
    answers: Answers
    account_id: AccountId


def read(
    source: Source,
    selector: Selector,
    plan: Plan,
    now_s: float,
    aggregation: Aggregation = "avg",
    across: Across = "none",
) -> Read:
    """A value per slot of every selected series; what `schema.series.read` gives, in the other form.

    Raises as that does.
    """
    part = partial(_part, source, selector, aggregation=aggregation, across=across)
    closed_s = closed_until(plan, now_s)
    if closed_s == plan.to_s:
        return part(plan, is_closed=True)
    open_share = (plan.to_s - closed_s) / (plan.to_s - plan.from_s)
    if plan.step_s < _SPLIT_FROM_STEP_S or open_share > _OPEN_SHARE_MAX:
        return part(plan, is_closed=False)
    before, after = replace(plan, to_s=closed_s), replace(plan, from_s=closed_s)
    return _joined(part(before, is_closed=True), slots(before), part(after, is_closed=False), slots(after))


def slots(plan: Plan) -> int:
    """How many values each line of a plan has."""
    return (plan.to_s - plan.from_s) // plan.step_s


def _part(
    source: Source, selector: Selector, plan: Plan, *, is_closed: bool, aggregation: Aggregation, across: Across
) -> Read:
    parameters: dict[str, Any] = {**series.parameters_of(source.account_id, plan), "slots": slots(plan)}
    sql = series.question("series_grid").replace(
        "/*buckets*/", series.buckets(selector, plan, aggregation, across, parameters)
    )
    ask = partial(_ask, source.clickhouse, sql, parameters)
    if not is_closed:
        return ask()
    read, is_remembered = source.answers.remember(source.account_id, question_of(sql, parameters), ask, _size)
    return Read(read.lines, 0, 0.0) if is_remembered else read


def _ask(clickhouse: ClickHouse, sql: str, parameters: dict[str, Any]) -> Read:
    answer = msgspec.json.decode(series.ask(clickhouse, sql, parameters), type=_Answer)
    lines = sorted((_line(*row) for row in answer.data), key=lambda line: line.key)
    return Read(lines, answer.statistics.rows_read, answer.statistics.elapsed)


def _line(
    metric: str,
    node: str,
    labelset: str,
    main: msgspec.Raw,
    low: msgspec.Raw,
    high: msgspec.Raw,
    is_flat: int,
) -> Line:
    if is_flat:
        return Line(metric, node, labelset, bytes(main), None, None)
    return Line(metric, node, labelset, bytes(main), bytes(low), bytes(high))


def _size(read: Read) -> int:
    return sum(line.size for line in read.lines)


def _joined(before: Read, slots_before: int, after: Read, slots_after: int) -> Read:
    """One window of two that touch; a series that only one of them knows is empty in the other."""
    first, then = ({line.key: line for line in read.lines} for read in (before, after))
    lines = []
    for key in sorted(first.keys() | then.keys())[:SERIES_MAX]:
        one = first.get(key) or Line(*key, _nulls(slots_before), None, None)
        two = then.get(key) or Line(*key, _nulls(slots_after), None, None)
        is_flat = one.low is None and two.low is None
        low = None if is_flat else _join(one.low or one.main, two.low or two.main)
        high = None if is_flat else _join(one.high or one.main, two.high or two.main)
        lines.append(Line(*key, _join(one.main, two.main), low, high))
    return Read(lines, before.rows_read + after.rows_read, before.engine_s + after.engine_s)


def _join(one: bytes, two: bytes) -> bytes:
    """Two JSON arrays, neither empty, as one."""
    return one.rstrip()[:-1] + b"," + two.lstrip()[1:]


def _nulls(count: int) -> bytes:
    return b"[" + b",".join([b"null"] * count) + b"]"
