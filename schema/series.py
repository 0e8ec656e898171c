"""Reads series: buckets over a window, the list of series, sparklines. Every question binds the account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from operator import itemgetter
from typing import Any

import msgspec

from domain.errors import InvalidQuery, StoreUnavailable
from domain.ids import AccountId
from domain.series import ACROSS, SERIES_MAX, Across, Aggregation, Plan, Selector
from domain.series_key import labelset, parse_labelset
from schema import asking
from schema.clickhouse_client import ClickHouse, DatabaseError

_READ_SETTINGS = {
    "max_execution_time": 20,
    # Compiling never pays for questions of some milliseconds.
    "compile_aggregate_expressions": 0,
    "compile_expressions": 0,
    "compile_sort_description": 0,
    # Nor do these steps of planning, a tenth of the time of a small question and nothing of a large one's.
    "query_plan_merge_expressions": 0,
    "query_plan_remove_unused_columns": 0,
    "use_statistics": 0,
    "output_format_json_quote_64bit_integers": 0,
    "output_format_json_quote_denormals": 0,
}
_TOO_LONG = ("TIMEOUT_EXCEEDED", "MEMORY_LIMIT_EXCEEDED", "TOO_SLOW")

LABELS = """extractKeyValuePairsWithEscaping(toString(labelset), '=', ',', '"')"""
"""The labels of a `labelset` column, in SQL."""

_MAIN_OF_SAMPLES: Mapping[Aggregation, str] = {
    "avg": "avg(value)",
    "min": "min(value)",
    "max": "max(value)",
    "sum": "sum(value)",
    "last": "argMax(value, samples.ts)",
    "count": "toFloat64(count())",
}
_MAIN_OF_ROLLUP: Mapping[Aggregation, str] = {
    "avg": "sum(r.sum) / sum(r.count)",
    "min": "min(r.min)",
    "max": "max(r.max)",
    "sum": "sum(r.sum)",
    "last": "max(r.last).2",
    "count": "toFloat64(sum(r.count))",
}


class _Statistics(msgspec.Struct):
    elapsed: float
    rows_read: int


class _BucketAnswer(msgspec.Struct):
    data: list[tuple[str, str, str, msgspec.Raw, msgspec.Raw, msgspec.Raw, msgspec.Raw]]
    statistics: _Statistics


class _ListAnswer(msgspec.Struct):
    data: list[tuple[str, str, str, float, float | None]]


@dataclass(frozen=True)
class Series:
    """One series' buckets, as JSON arrays of equal length: `ts` Unix seconds ascending, empty buckets left out.

    minimum and maximum are those of the samples in the bucket, whatever `main` is.
    """

    metric: str
    node: str
    labels: dict[str, str]
    ts: msgspec.Raw
    main: msgspec.Raw
    minimum: msgspec.Raw
    maximum: msgspec.Raw


@dataclass(frozen=True)
class Read:
    """What a question gave: the series, and what it cost."""

    series: list[Series]
    rows_read: int
    engine_s: float


@dataclass(frozen=True)
class Listed:
    """A series that exists: its latest value and that value's time in Unix seconds."""

    metric: str
    node: str
    labels: dict[str, str]
    last_ts: float
    last: float | None


def read(
    clickhouse: ClickHouse,
    account_id: AccountId,
    selector: Selector,
    plan: Plan,
    aggregation: Aggregation = "avg",
    across: Across = "none",
) -> Read:
    """Buckets of every selected series over the plan's window.

    Series come by metric, node and labels. Raises StoreUnavailable when ClickHouse is away, InvalidQuery when the
    question is too expensive.
    """
    parameters = parameters_of(account_id, plan)
    sql = question("series").replace("/*buckets*/", buckets(selector, plan, aggregation, across, parameters))
    answer = msgspec.json.decode(ask(clickhouse, sql, parameters), type=_BucketAnswer)
    found = [
        Series(row[0], row[1], labels_of(row[2]), *row[3:]) for row in sorted(answer.data, key=itemgetter(0, 1, 2))
    ]
    return Read(found, answer.statistics.rows_read, answer.statistics.elapsed)


def list_series(clickhouse: ClickHouse, account_id: AccountId, selector: Selector, seen_since_s: float) -> list[Listed]:
    """The series that had a sample since `seen_since_s` (Unix seconds), by metric, node and labels."""
    parameters: dict[str, Any] = {
        "account": account_id,
        "seen_since_s": max(0, int(seen_since_s)),
        "series_max": SERIES_MAX,
    }
    sql = _select(question("series_list"), selector, parameters)
    answer = msgspec.json.decode(ask(clickhouse, sql, parameters), type=_ListAnswer)
    return [Listed(row[0], row[1], labels_of(row[2]), row[3], row[4]) for row in answer.data]


def parameters_of(account_id: AccountId, plan: Plan) -> dict[str, Any]:
    """What every question for buckets is told."""
    return {
        "account": account_id,
        "step_s": plan.step_s,
        "from_s": max(0, plan.from_s),
        "to_s": max(0, plan.to_s),
        "series_max": SERIES_MAX,
    }


def buckets(
    selector: Selector, plan: Plan, aggregation: Aggregation, across: Across, parameters: dict[str, Any]
) -> str:
    """The SQL of a row per series and bucket; puts what it speaks of into `parameters`."""
    if plan.resolution.width_s:
        sql = question("buckets_rollup").replace("/*table*/", plan.resolution.table)
        sql = sql.replace("/*main*/", _MAIN_OF_ROLLUP[aggregation])
    else:
        sql = question("buckets_raw").replace("/*main*/", _MAIN_OF_SAMPLES[aggregation])
    if across != "none":
        assert across in ACROSS
        sql = question("buckets_across").replace("/*across*/", across).replace("/*buckets*/", sql)
    return _select(sql, selector, parameters)


def ask(clickhouse: ClickHouse, sql: str, parameters: Mapping[str, Any]) -> bytes:
    """The answer to one of our questions; raises StoreUnavailable, InvalidQuery when it takes too much."""
    try:
        return clickhouse.raw_query(sql, parameters, settings={**_READ_SETTINGS, **asking.transport()})
    except DatabaseError as error:
        if any(code in str(error) for code in _TOO_LONG):
            raise InvalidQuery(
                "the question reads too much: ask for fewer series, a shorter range or a longer step"
            ) from error
        if "UNKNOWN_TABLE" in str(error):
            raise StoreUnavailable("the tables are not made yet: run `metrist migrate`") from error
        raise


@cache
def question(name: str) -> str:
    """The text of schema/queries/<name>.sql."""
    return files("schema").joinpath("queries", f"{name}.sql").read_text("utf-8")


@lru_cache(maxsize=100_000)
def labels_of(text: str) -> dict[str, str]:
    """The labels of a `labelset` column; cached, so callers must not change it."""
    return parse_labelset(text)


def _select(sql: str, selector: Selector, parameters: dict[str, Any]) -> str:
    """Put the selector's conditions in; its texts travel as parameters only."""
    sql = sql.replace("/*metrics*/", _names("metric", selector.metrics, parameters))
    sql = sql.replace("/*nodes*/", _names("node", selector.nodes, parameters))
    return sql.replace("/*labels*/", _labels(selector.labels, parameters))


def _names(column: str, names: Sequence[str], parameters: dict[str, Any]) -> str:
    """`*` matches any text; no name at all is every name."""
    if not names or "*" in names:
        return "1"
    exact = [name for name in names if "*" not in name]
    conditions = []
    if exact:
        parameters[f"{column}s"] = exact
        conditions.append(f"{column} IN {{{column}s:Array(String)}}")
    for number, glob in enumerate(name for name in names if "*" in name):
        parameters[f"{column}_{number}"] = _like(glob)
        conditions.append(f"{column} LIKE {{{column}_{number}:String}}")
    return f"({' OR '.join(conditions)})"


def _like(glob: str) -> str:
    escaped = glob.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")


def _labels(labels: Mapping[str, str], parameters: dict[str, Any]) -> str:
    """`,key="value",` stands in every labelset that has the label, and may stand across two values of another one.

    The search for it is cheap and leaves few to take apart.
    """
    conditions = ["1"]
    for number, (key, value) in enumerate(labels.items()):
        written, name, equal = f"label_{number}", f"label_{number}_key", f"label_{number}_value"
        parameters |= {written: f",{labelset({key: value})},", name: key, equal: value}
        conditions.append(f"position(concat(',', labelset, ','), {{{written}:String}}) > 0")
        conditions.append(f"{LABELS}[{{{name}:String}}] = {{{equal}:String}}")
    return " AND ".join(conditions)
