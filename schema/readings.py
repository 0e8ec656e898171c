"""Reads what conditions are judged by: one question for many conditions that look at the same window.

Matchers and groups are applied to the rows of the answer (domain/evaluation.py), by the same pattern engine as graphs
use: a thousand conditions on one metric, each about another node, cost one scan of it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from domain.condition_specs import ROLLED_FROM_S
from domain.errors import InvalidQuery
from domain.evaluation import Measured
from domain.ids import AccountId
from domain.query import Over
from schema.clickhouse_client import ClickHouse
from schema.series import ask, question

SERIES_MAX: Final = 200_000
"""Series in one answer; with more, a question reads too much."""
METRICS_AT_ONCE: Final = 200
NODES_NAMED_MAX: Final = 100
"""So many nodes are named in a question; for more, all nodes are read."""
_OVERS: Final[tuple[Over, ...]] = ("avg", "min", "max", "sum", "last", "count")
_OF_SAMPLES: Final = "[avg(value), min(value), max(value), sum(value), argMax(value, r.ts), count()]"
_OF_MINUTES: Final = (
    "[sum(r.sum) / sum(r.count), min(r.min), max(r.max), sum(r.sum), max(r.last).2, toFloat64(sum(r.count))]"
)
_POINT_OF_SAMPLE, _POINT_OF_MINUTE = "(r.ts, r.value, r.value)", "(r.last.1, r.last.2, r.max)"
_RATE_LOOKS_BACK_S: Final = 600

Row = tuple[str, str, str, list[float | None]]


class _Values(msgspec.Struct):
    data: list[Row]


@dataclass(frozen=True, slots=True)
class Ask:
    """What is read of one instant: these metrics over [from_s, to_s), Unix seconds.

    nodes  the only ones that matter; None for all
    """

    metrics: Sequence[str]
    from_s: int
    to_s: int
    nodes: Collection[str] | None = None

    @property
    def table(self) -> str:
        """Long windows begin and end at whole minutes, so the rollup gives what its samples do."""
        return "samples_1m" if self.to_s - self.from_s >= ROLLED_FROM_S else "samples"


class Values:
    """What was read, by metric and way of putting samples together."""

    def __init__(self, rows: Sequence[Row], overs: Sequence[Over]) -> None:
        self._place = {over: place for place, over in enumerate(overs)}
        self._rows: dict[str, list[Row]] = {}
        self._of_node: dict[tuple[str, str], list[Row]] = {}
        for row in rows:
            self._rows.setdefault(row[0], []).append(row)
            self._of_node.setdefault(row[:2], []).append(row)

    def of(self, metric: str, over: Over, nodes: Collection[str] | None) -> list[Measured]:
        """Each series' value; of these nodes only, if any are named."""
        place = self._place[over]
        if nodes is None:
            rows: Sequence[Row] = self._rows.get(metric, [])
        else:
            rows = [row for node in nodes for row in self._of_node.get((metric, node), [])]
        return [Measured(row[1], row[2], value) for row in rows if (value := row[3][place]) is not None]


def read(clickhouse: ClickHouse, account_id: AccountId, what: Ask) -> Values:
    """Every series' values over a window. Raises StoreUnavailable, InvalidQuery when there is too much to read."""
    sql = question("readings").replace("/*table*/", what.table)
    sql = sql.replace("/*values*/", _OF_SAMPLES if what.table == "samples" else _OF_MINUTES)
    rows: list[Row] = []
    for start in range(0, len(what.metrics), METRICS_AT_ONCE):
        metrics = what.metrics[start : start + METRICS_AT_ONCE]
        parameters = {**_parameters(account_id, metrics, what), "from_s": what.from_s, "to_s": what.to_s}
        answer = ask(clickhouse, _of_nodes(sql, parameters), parameters)
        rows += _bounded(msgspec.json.decode(answer, type=_Values).data)
    return Values(rows, _OVERS)


def read_rates(clickhouse: ClickHouse, account_id: AccountId, what: Ask) -> Values:
    """How much every series grew over a window, a second. Raises as `read`."""
    point = _POINT_OF_SAMPLE if what.table == "samples" else _POINT_OF_MINUTE
    buckets = question("lines_rate").rstrip().replace("/*point*/", point).replace("/*table*/", what.table)
    buckets = buckets.replace("/*slot*/", "toUInt32(0)").replace("/*matching*/", "/*nodes*/")
    sql = question("readings_rate").replace("/*buckets*/", buckets)
    rows: list[Row] = []
    for metric in what.metrics:
        times = {"from_s": what.from_s, "to_s": what.to_s, "before_s": what.from_s - _RATE_LOOKS_BACK_S, "slots": 1}
        parameters = {**_parameters(account_id, [], what), **times, "metric": metric}
        answer = ask(clickhouse, _of_nodes(sql, parameters), parameters)
        rows += _bounded(msgspec.json.decode(answer, type=_Values).data)
    return Values(rows, ("rate",))


def last_heard(clickhouse: ClickHouse, account_id: AccountId, what: Ask, since_s: int) -> Values:
    """The series heard since then; their `last` values are when that was last, Unix seconds. Raises as `read`."""
    rows: list[Row] = []
    for start in range(0, len(what.metrics), METRICS_AT_ONCE):
        parameters = _parameters(account_id, what.metrics[start : start + METRICS_AT_ONCE], what)
        parameters["since_s"] = since_s
        answer = ask(clickhouse, _of_nodes(question("readings_known"), parameters), parameters)
        rows += _bounded(msgspec.json.decode(answer, type=_Values).data)
    return Values(rows, ("last",))


def _parameters(account_id: AccountId, metrics: Sequence[str], what: Ask) -> dict[str, Any]:
    parameters: dict[str, Any] = {"account": account_id, "metrics": list(metrics), "series_max": SERIES_MAX + 1}
    if what.nodes is not None and len(what.nodes) <= NODES_NAMED_MAX:
        parameters["nodes"] = sorted(what.nodes)
    return parameters


def _of_nodes(sql: str, parameters: Mapping[str, Any]) -> str:
    return sql.replace("/*nodes*/", "node IN {nodes:Array(String)}" if "nodes" in parameters else "1")


def _bounded(rows: list[Any]) -> list[Any]:
    if len(rows) > SERIES_MAX:
        raise InvalidQuery(f"there are more than {SERIES_MAX} series to judge: name nodes or labels")
    return rows
