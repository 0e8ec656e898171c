"""Reads the lines of a graph's query: layers of SQL from stored buckets to lines, each bound to the account.

A query's SQL is made of the texts of `queries/lines*.sql`, put into each other:

    lines ( folded ( buckets of raw samples | of a rollup | rates ) )

and `top` asks the same for the whole window as one bucket first, then reads only what won. Everything that people
wrote travels as a parameter; only texts of ours are pasted.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from domain import series as planning
from domain.errors import InvalidQuery
from domain.ids import AccountId
from domain.matchers import Matcher
from domain.query import NODE, PERCENTILES, Fold, Over, Query
from domain.series import Plan, Resolution
from schema.clickhouse_client import ClickHouse
from schema.series import LABELS, ask, labels_of, question
from schema.sql_text import indented, inline

_EACH = "OrNullResample(0, {slots:UInt32}, 1)"
"""What makes an aggregate function give an array: its result for each slot, NULL where there is nothing."""

_MAIN_OF_SAMPLES: Mapping[Over, str] = {
    "avg": f"avg{_EACH}(value, /*slot*/)",
    "min": f"min{_EACH}(value, /*slot*/)",
    "max": f"max{_EACH}(value, /*slot*/)",
    "sum": f"sum{_EACH}(value, /*slot*/)",
    "last": f"argMax{_EACH}(value, r.ts, /*slot*/)",
    "count": f"sum{_EACH}(toFloat64(1), /*slot*/)",
    **{
        name: f"quantileExactInclusiveOrNullResample({share}, 0, {{slots:UInt32}}, 1)(value, /*slot*/)"
        for name, share in PERCENTILES.items()
    },
}
_MAIN_OF_ROLLUP: Mapping[Over, str] = {
    "avg": f"arrayMap((s, n) -> s / n, sum{_EACH}(r.sum, /*slot*/), sum{_EACH}(r.count, /*slot*/))",
    "min": f"min{_EACH}(r.min, /*slot*/)",
    "max": f"max{_EACH}(r.max, /*slot*/)",
    "sum": f"sum{_EACH}(r.sum, /*slot*/)",
    "last": f"argMax{_EACH}(r.last.2, r.last.1, /*slot*/)",
    "count": f"sum{_EACH}(toFloat64(r.count), /*slot*/)",
}
_WHOLE_OF_SAMPLES: Mapping[Over, str] = {
    "avg": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "last": "argMax(value, r.ts)",
    "count": "toFloat64(count())",
    **{name: f"quantileExactInclusive({share})(value)" for name, share in PERCENTILES.items()},
}
_WHOLE_OF_ROLLUP: Mapping[Over, str] = {
    "avg": "sum(r.sum) / sum(r.count)",
    "min": "min(r.min)",
    "max": "max(r.max)",
    "sum": "sum(r.sum)",
    "last": "argMax(r.last.2, r.last.1)",
    "count": "toFloat64(sum(r.count))",
}
_ACROSS: Mapping[Fold, str] = {
    "avg": "avgOrNullForEach(series_buckets.main)",
    "min": "minOrNullForEach(series_buckets.main)",
    "max": "maxOrNullForEach(series_buckets.main)",
    "sum": "sumOrNullForEach(series_buckets.main)",
    "count": "arrayMap(n -> nullIf(toFloat64(n), 0), countForEach(series_buckets.main))",
    **{
        name: f"quantileExactInclusiveOrNullForEach({share})(series_buckets.main)"
        for name, share in PERCENTILES.items()
    },
}
_SLOT = "toUInt32(intDiv(toUnixTimestamp(r.ts) - {from_s:UInt32}, {step_s:UInt32}))"
_SLOT_OF_RATE = "toUInt32(intDiv(toUInt32(steps.at_s) - {from_s:UInt32}, {step_s:UInt32}))"
_ONE_SLOT = "toUInt32(0)"
_POINT_OF_SAMPLE = "(r.ts, r.value, r.value)"
_POINT_OF_ROLLUP = "(r.last.1, r.last.2, r.max)"
_TESTS: Mapping[str, str] = {
    "=": "{0} = {1}",
    "!=": "{0} != {1}",
    "=~": "match({0}, concat('^(?:', {1}, ')$'))",
    "!~": "NOT match({0}, concat('^(?:', {1}, ')$'))",
}
_TAKEN = ("ts", "value", "min", "max", "slot", "main", "low", "high")
_RATE_LOOKS_BACK_S = 600
_LATEST_S = 2**32 - 1
BANDS_MAX = 50
"""Lines up to which the least and largest sample of each bucket are read; more bands would hide each other."""
CELLS_MAX = 60_000_000
"""Buckets of series that one question may hold in memory: half a gigabyte."""
ROWS_FOR_PEOPLE_MAX = 1_000_000


@dataclass(frozen=True)
class Line:
    """One line's labels, `node` among them, and JSON arrays of its values at each slot of the plan; null is a gap.

    low and high are those of the samples, or null as a whole where they say nothing or would be too many.
    """

    labels: dict[str, str]
    values: msgspec.Raw
    low: msgspec.Raw
    high: msgspec.Raw


@dataclass(frozen=True)
class Read:
    """What a query gave: its lines by their labels, how many there are in all, and what it cost."""

    lines: list[Line]
    count: int
    rows_read: int
    engine_s: float


@dataclass(frozen=True)
class Cut:
    """The window a plan reads, moved back by a comparison; who is on top is decided by the window that was not."""

    plan: Plan
    back_s: int = 0


class _Statistics(msgspec.Struct):
    elapsed: float
    rows_read: int


class _Answer(msgspec.Struct):
    data: list[list[msgspec.Raw]]
    statistics: _Statistics


def read(clickhouse: ClickHouse, account_id: AccountId, query: Query, cut: Cut, lines_max: int) -> Read:
    """The lines of a query over a window, at most `lines_max` of them: the largest, when there are more.

    Raises StoreUnavailable when ClickHouse is away, InvalidQuery when the question is too expensive.
    """
    count, series = count_lines(clickhouse, account_id, query, Cut(cut.plan))  # a comparison shows the lines of now
    top = min(query.top or lines_max, lines_max)
    sql = _Sql(account_id, query, cut, top if top < count else None)
    if top >= count and series * sql.parameters["slots"] > CELLS_MAX:
        raise InvalidQuery(f"the question is about {series} series: ask for fewer of them, or a longer step")
    sql.parameters["lines_max"] = lines_max
    is_banded = query.has_band and min(count, top) <= BANDS_MAX
    text = sql.lines("lines", low="low" if is_banded else "NULL", high="high" if is_banded else "NULL")
    answer = msgspec.json.decode(ask(clickhouse, text, sql.parameters), type=_Answer)
    lines = [_line(row, query) for row in answer.data]
    lines.sort(key=lambda line: sorted(line.labels.items()))
    return Read(lines, count, answer.statistics.rows_read, answer.statistics.elapsed)


def count_lines(clickhouse: ClickHouse, account_id: AccountId, query: Query, cut: Cut) -> tuple[int, int]:
    """How many lines a query has in the window, and of how many series, from the list of series: cheap."""
    sql = _Sql(account_id, query, cut, None)
    answer = msgspec.json.decode(ask(clickhouse, sql.count(), sql.parameters))
    lines, series = answer["data"][0]
    return int(lines), int(series)


def for_people(account_id: AccountId, query: Query, cut: Cut, top: int | None) -> str:
    """The SQL of a query as it can be pasted into any client of ClickHouse: the values stand in it."""
    sql = _Sql(account_id, query, cut, top)
    sql.parameters["rows_max"] = ROWS_FOR_PEOPLE_MAX
    return indented(inline(sql.lines("lines_for_people"), sql.parameters))


def _window(prefix: str, plan: Plan, back_s: int) -> dict[str, int]:
    """The window as parameters; `before_s` is where to look for what a first growth is measured from."""
    looks_back_s = max(_RATE_LOOKS_BACK_S, 2 * plan.resolution.width_s)
    found = {"from_s": plan.from_s, "to_s": plan.to_s, "before_s": plan.from_s - looks_back_s}
    return {prefix + name: min(max(0, at_s - back_s), _LATEST_S) for name, at_s in found.items()}


def _line(row: list[msgspec.Raw], query: Query) -> Line:
    keys = [msgspec.json.decode(raw, type=str) for raw in row[:-3]]
    if query.by is None:
        labels = {**labels_of(keys[1]), NODE: keys[0]}
    else:
        labels = {label: value for label, value in zip(query.by, keys, strict=False) if value}
    return Line(labels, *row[-3:])


class _Sql:
    """The parts of one query's SQL, and the parameters that they speak of."""

    def __init__(self, account_id: AccountId, query: Query, cut: Cut, top: int | None) -> None:
        self._query = query
        self._plan = self._ranking = cut.plan
        self._top = top = None if query.by == () else top
        self.parameters: dict[str, Any] = {
            "account": account_id,
            "metric": query.metric,
            "step_s": cut.plan.step_s,
            "slots": (cut.plan.to_s - cut.plan.from_s) // cut.plan.step_s,
            **_window("", cut.plan, cut.back_s),
        }
        if top is not None:
            # Thirty days in minutes of 10,000 series are 430 M rows, in hours 7 M, and those on top are the same.
            is_finer = query.over == "rate" or query.needs_samples
            self._ranking = cut.plan if is_finer else planning.whole(cut.plan)
            self.parameters |= {"top": top, "top_slots": 1, **_window("top_", self._ranking, 0)}
        self._matching = self._conditions()

    def lines(self, form: str, **slots: str) -> str:
        """The whole: `form` is the text of queries/ that its rows are given by, `slots` what it needs beside."""
        matching = self._matching if self._top is None else f"{self._matching}\n  AND {self._chosen()}"
        folded = self._folded(self._buckets(self._plan.resolution, matching, _SLOT, _SLOT_OF_RATE))
        return _fill(form, named=self._named, keys=self._keys, folded=folded, **slots)

    def count(self) -> str:
        """The number of lines."""
        keyed = self._keyed if self._query.by is not None else "1"
        return _fill("lines_count", keys=self._keys, keyed=keyed, matching=self._matching)

    @property
    def _keys(self) -> str:
        """Names of the columns that tell lines apart."""
        if self._query.by is None:
            return "node, labelset"
        return ", ".join(f"key_{number}" for number in range(len(self._query.by))) or "key"

    @property
    def _named(self) -> str:
        """The same as people call them."""
        if self._query.by is None:
            return self._keys
        named = (f"key_{n} AS `{label}{'_' * (label in _TAKEN)}`" for n, label in enumerate(self._query.by))
        return ", ".join(named) or self._keys

    @property
    def _keyed(self) -> str:
        """The same with what they are made of."""
        if self._query.by is None:
            return "node, labelset"
        columns = [f"{made} AS key_{number}" for number, made in enumerate(self._made_of)]
        return ", ".join(columns) or "'' AS key"

    @property
    def _made_of(self) -> list[str]:
        return [self._label(label) for label in self._query.by or ()]

    def _label(self, label: str) -> str:
        if label == NODE:
            return "toString(node)"
        return f"{LABELS}[{self._parameter('label', label)}]"

    def _folded(self, buckets: str) -> str:
        if self._query.by is None:
            return buckets
        across = _ACROSS[self._query.across]
        return _fill("lines_folded", keyed=self._keyed, keys=self._keys, across=across, buckets=buckets)

    def _buckets(self, tier: Resolution, matching: str, slot: str, slot_of_rate: str) -> str:
        if self._query.over == "rate":
            point = _POINT_OF_ROLLUP if tier.width_s else _POINT_OF_SAMPLE
            return _fill("lines_rate", point=point, table=tier.table, slot=slot_of_rate, matching=matching)
        if tier.width_s:
            main = _MAIN_OF_ROLLUP[self._query.over]
            return _fill("lines_rollup", main=main, table=tier.table, slot=slot, matching=matching)
        return _fill("lines_raw", main=_MAIN_OF_SAMPLES[self._query.over], slot=slot, matching=matching)

    def _whole(self, tier: Resolution) -> str:
        """Each series in a single bucket; rates are made of differences, and have no other way."""
        if self._query.over == "rate":
            return self._buckets(tier, self._matching, _ONE_SLOT, _ONE_SLOT)
        if tier.width_s:
            made = {"main": _WHOLE_OF_ROLLUP[self._query.over], "low": "min(r.min)", "high": "max(r.max)"}
        else:
            made = {"main": _WHOLE_OF_SAMPLES[self._query.over], "low": "min(value)", "high": "max(value)"}
        return _fill("lines_whole", table=tier.table, matching=self._matching, **made)

    def _chosen(self) -> str:
        """The condition that a series belongs to one of the lines on top."""
        folded = self._folded(self._whole(self._ranking.resolution))
        for name in ("from_s", "to_s", "before_s", "slots"):
            folded = folded.replace(f"{{{name}:", f"{{top_{name}:")
        top = _fill("lines_top", keys=self._keys, folded=folded)
        if self._query.by is None:
            return f"(node, labelset) IN\n(\n{top}\n)"
        made = self._made_of
        return _fill("lines_chosen", values=", ".join(made), matching=self._matching, top=top)

    def _conditions(self) -> str:
        """Those on the node speak of its column; those on labels choose among the label sets that there are."""
        matchers = self._query.matchers
        nodes = [self._condition(self._label(NODE), one) for one in matchers if one.label == NODE]
        labels = [self._condition(self._label(one.label), one) for one in matchers if one.label != NODE]
        if labels:
            nodes.append(_fill("lines_labelsets", conditions="\n  AND ".join(labels)))
        return "\n  AND ".join(nodes) or "1"

    def _condition(self, of: str, matcher: Matcher) -> str:
        return _TESTS[matcher.operator].format(of, self._parameter("value", matcher.value))

    def _parameter(self, kind: str, value: str) -> str:
        """A place for a text; the same text has one place."""
        name = next(
            (name for name, known in self.parameters.items() if known == value and name.startswith(f"{kind}_")),
            f"{kind}_{len(self.parameters)}",
        )
        self.parameters[name] = value
        return f"{{{name}:String}}"


def _fill(name: str, **slots: str) -> str:
    """A text of queries/ with texts of ours in its places."""
    text = question(name).rstrip()
    for slot, value in slots.items():
        text = text.replace(f"/*{slot}*/", value)
    return text
