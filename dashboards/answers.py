"""From a graph to its lines: every query read side by side, formulas, names, the unit.

    {"resolution": "1m", "from_s": …, "to_s": …, "start_s": …, "step_s": 60, "count": 360, "unit": "percent",
     "queries": {"A": {"shown": 10, "count": 10000}}, "rows_read": …, "engine_ms": …, "took_ms": …,
     "lines": [{"query": "A", "metric": "cpu.usage_percent", "labels": {"node": "web-1"}, "name": "web-1", "shift": "",
                "values": [1.5, null, …], "min": […], "max": […]}]}

The grid is told once: value k of every line is of [start_s + k·step_s, start_s + (k+1)·step_s); null is a gap. `min`
and `max` are those of the samples, of lines that are their mean or last; a comparison's values lie on the grid of now.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import msgspec

from dashboards.charts import natural_key
from dashboards.format import Unit, unit_of
from domain import formula
from domain import series as planning
from domain.errors import InvalidQuery
from domain.ids import AccountId
from domain.lines import Line, calculate, largest, name_lines
from domain.query import LINES_MAX, LINES_OF_KIND, Graph, Query
from domain.series import Plan, Resolution, Retention, Window
from domain.settings import Settings
from schema import query as store
from schema.answers import Answers
from schema.query import Cut
from schema.stores import Stores

READS_AT_ONCE: Final = 4
CELLS_MAX: Final = 2_000_000
"""Values of one query in one answer: lines by buckets."""
_DAY_S: Final = 86_400
_EDGE_S: Final = 300
"""A range as long as samples are kept begins a moment before that, by the time it is asked for."""
_GROWTH: Final = {Unit.BYTES: Unit.BYTES_PER_S, Unit.COUNT: Unit.PER_S}


Run = Callable[[Callable[[], store.Read]], Awaitable[store.Read]]


@dataclass(frozen=True)
class Asked:
    """A graph over a window, in about so many buckets or in buckets of so many seconds."""

    graph: Graph
    window: Window
    points: int = planning.POINTS_DEFAULT
    step_s: int | None = None
    lines_max: int | None = None


@dataclass(frozen=True)
class Shown:
    """A line with its values as they go out: JSON arrays of ClickHouse's, or our own lists."""

    line: Line
    values: msgspec.Raw | Sequence[float | None]
    low: msgspec.Raw | None = None
    high: msgspec.Raw | None = None


@dataclass(frozen=True)
class Answer:
    """The lines of a graph in the order of its queries and formulas, their names beside them."""

    asked: Asked
    plan: Plan
    lines: list[Shown]
    names: list[str]
    reads: Mapping[str, store.Read]
    took_s: float

    @property
    def count(self) -> int:
        return (self.plan.to_s - self.plan.from_s) // self.plan.step_s


async def answer(
    stores: Stores, account_id: AccountId, asked: Asked, settings: Settings, run: Run = asyncio.to_thread
) -> Answer:
    """Read a graph; `run` does each read, whose answer may be remembered for a while (schema/answers.py).

    Raises InvalidQuery for what can't be read or costs too much, StoreUnavailable.
    """
    began = time.perf_counter()
    graph = asked.graph
    now_s = time.time()
    plan = plan_for(asked, retention(settings), now_s)
    slots = (plan.to_s - plan.from_s) // plan.step_s
    lines_max = asked.lines_max or LINES_OF_KIND[graph.kind]
    reads = [(query, shift) for query in _needed(graph) for shift in ("", *graph.shift)]
    places = asyncio.Semaphore(READS_AT_ONCE)

    async def read(query: Query, shift: str) -> store.Read:
        async with places:
            cut = Cut(plan, graph.shifts_s.get(shift, 0))
            most = min(LINES_MAX if query.hidden else lines_max, max(1, CELLS_MAX // slots))
            ask = partial(store.read, stores.clickhouse, account_id, query, cut, most)
            for_s = planning.kept_s(plan.step_s, is_closed=_is_closed(cut, query, now_s))
            return await run(partial(_remembered, stores.answers, account_id, (query, cut, most), ask, for_s))

    found = dict(zip(reads, await asyncio.gather(*(read(*one) for one in reads)), strict=True))
    lines = await asyncio.to_thread(_lines, graph, found, slots, lines_max)
    now = {query.id: read for (query, shift), read in found.items() if not shift}
    names = name_lines([shown.line for shown in lines], graph)
    order = _order(lines, names)
    took_s = time.perf_counter() - began
    return Answer(asked, plan, [lines[n] for n in order], [names[n] for n in order], now, took_s)


def _is_closed(cut: Cut, query: Query, now_s: float) -> bool:
    """Nothing that may still come in time changes the answer; who is on top now decides a comparison's lines, too."""
    depends_on_now = cut.back_s > 0 and query.top is not None
    return cut.plan.to_s - cut.back_s + planning.CLOSED_AFTER_S <= now_s and not depends_on_now


def _remembered(
    answers: Answers, account_id: AccountId, question: Hashable, ask: Callable[[], store.Read], for_s: float
) -> store.Read:
    read, is_remembered = answers.remember(account_id, question, ask, _size, for_s)
    return replace(read, rows_read=0, engine_s=0.0) if is_remembered else read


def _size(read: store.Read) -> int:
    return sum(len(memoryview(one.values)) + len(memoryview(one.low)) + len(memoryview(one.high)) for one in read.lines)


def plan_for(asked: Asked, kept: Retention, now_s: float) -> Plan:
    """Step and tier for a graph: a comparison is read from the tier of now, so one that still has it is taken.

    Raises InvalidQuery for what can't be read.
    """
    plan = planning.plan(asked.window, asked.points, kept, now_s, asked.step_s)
    back_s = max(asked.graph.shifts_s.values(), default=0)
    earliest = Window(asked.window.from_s - back_s, asked.window.to_s - back_s)
    if any(query.needs_samples for query in _needed(asked.graph)):
        return replace(plan, resolution=_samples(earliest, kept, now_s))
    tier = planning.resolution_for(earliest, plan.step_s, kept, now_s)
    if tier.width_s <= plan.resolution.width_s:
        return plan
    step_s = -(-plan.step_s // tier.width_s) * tier.width_s
    return replace(planning.plan(asked.window, asked.points, kept, now_s, step_s), resolution=tier)


def _samples(earliest: Window, kept: Retention, now_s: float) -> Resolution:
    """Single samples, where they are still kept."""
    if now_s - earliest.from_s > kept.raw_s + _EDGE_S:
        raise InvalidQuery(
            f"percentiles over time are of single samples, which are kept for {kept.raw_s // _DAY_S} days: begin "
            "later, or take avg or max over time, and the percentile across series"
        )
    return planning.RAW


def retention(settings: Settings) -> Retention:
    """How long each tier is kept."""
    days = (settings.raw_retention_days, settings.minute_retention_days, settings.hour_retention_days)
    return Retention(*(count * _DAY_S for count in days))


def as_json(answer: Answer) -> bytes:
    """The answer as this module's docstring shows it."""
    plan = answer.plan
    told = {
        "resolution": plan.resolution.name,
        "from_s": plan.from_s,
        "to_s": plan.to_s,
        "start_s": plan.from_s,
        "step_s": plan.step_s,
        "count": answer.count,
        "unit": unit_for(answer.asked.graph),
        "queries": {name: {"shown": len(read.lines), "count": read.count} for name, read in answer.reads.items()},
        "rows_read": sum(read.rows_read for read in answer.reads.values()),
        "engine_ms": round(sum(read.engine_s for read in answer.reads.values()) * 1000, 1),
        "took_ms": round(answer.took_s * 1000, 1),
        "lines": [_line_json(shown, name) for shown, name in zip(answer.lines, answer.names, strict=True)],
    }
    return msgspec.json.encode(told)


def as_sql(account_id: AccountId, asked: Asked, settings: Settings) -> str:
    """SQL for each query of a graph that is seen or calculated with, one statement after the other."""
    plan = plan_for(asked, retention(settings), time.time())
    statements = [
        f"-- {query.id}: {query.over} of {query.metric}{f', {shift} before' if shift else ''}\n"
        + store.for_people(account_id, query, Cut(plan, asked.graph.shifts_s.get(shift, 0)), query.top)
        for query in _needed(asked.graph)
        for shift in ("", *asked.graph.shift)
    ]
    return ";\n\n".join(statements) + "\n"


def unit_for(graph: Graph) -> str:
    """What a graph's values are measured in: what it says itself, or what its lines have in common."""
    if graph.unit:
        return graph.unit
    found = {_unit_of(query) for query in graph.queries if not query.hidden}
    if any(not one.hidden for one in graph.formulas):
        found.add(Unit.COUNT)
    return found.pop() if len(found) == 1 else Unit.COUNT


def _unit_of(query: Query) -> Unit:
    if query.over == "count" or (query.by is not None and query.across == "count"):
        return Unit.COUNT
    unit = unit_of(query.metric)
    return _GROWTH.get(unit, Unit.COUNT) if query.over == "rate" else unit


def _needed(graph: Graph) -> list[Query]:
    """The queries that are seen, and those that formulas are made of."""
    said = {name for one in graph.formulas for name in formula.names(formula.parse(one.expr))}
    return [query for query in graph.queries if not query.hidden or query.id in said]


def _lines(graph: Graph, found: Mapping[tuple[Query, str], store.Read], slots: int, most: int) -> list[Shown]:
    """What is seen: the lines of queries as they came, those of formulas worked out, for now and each comparison."""
    shown = [one for (query, shift), read in found.items() if not query.hidden for one in _of_query(query, shift, read)]
    for shift in ("", *graph.shift) if graph.formulas else ():
        operands = {query.id: _decoded(query, shift, read) for (query, at), read in found.items() if at == shift}
        for one in graph.formulas:
            operands[one.id] = calculate(one, operands, slots)
            if not one.hidden:
                shown += [Shown(line, line.values) for line in largest(operands[one.id], most)]
    return shown


def _order(lines: Sequence[Shown], names: Sequence[str]) -> list[int]:
    """By name as people count, within what belongs together."""
    groups = {group: n for n, group in enumerate(dict.fromkeys((one.line.source, one.line.shift) for one in lines))}
    keys = [
        (groups[one.line.source, one.line.shift], natural_key(name)) for one, name in zip(lines, names, strict=True)
    ]
    return sorted(range(len(lines)), key=keys.__getitem__)


def _of_query(query: Query, shift: str, read: store.Read) -> Iterator[Shown]:
    for one in read.lines:
        line = Line(query.id, query.metric, one.labels, (), shift)
        yield Shown(line, one.values) if shift else Shown(line, one.values, one.low, one.high)


def _decoded(query: Query, shift: str, read: store.Read) -> list[Line]:
    return [
        Line(query.id, query.metric, one.labels, msgspec.json.decode(one.values, type=list[float | None]), shift)
        for one in read.lines
    ]


def _line_json(shown: Shown, name: str) -> dict[str, Any]:
    line = shown.line
    told = {"query": line.source, "metric": line.metric, "labels": line.labels, "name": name, "shift": line.shift}
    has_band = shown.low is not None and bytes(shown.low) != b"null"
    band = {"min": shown.low, "max": shown.high} if has_band else {}
    return {**told, "values": shown.values, **band}
