"""What there is to ask for: metrics, their labels, their values. From the list of series, bound to the account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from domain.ids import AccountId
from domain.query import NODE
from schema.clickhouse_client import ClickHouse
from schema.series import LABELS, ask, question

_LABEL = f"{LABELS}[{{label:String}}]"


@dataclass(frozen=True)
class Metric:
    """A metric with how many series and nodes have it, and when it was last sent, in Unix seconds."""

    name: str
    series: int
    nodes: int
    last_s: float


@dataclass(frozen=True)
class Counted:
    """A label's name with how many values it has, or a value with how many series have it."""

    name: str
    count: int


def search_metrics(clickhouse: ClickHouse, account_id: AccountId, search: str, most: int) -> list[Metric]:
    """Metrics whose names hold every word of `search`, the likeliest first."""
    rows = _rows(clickhouse, question("metric_search"), account_id, {"words": search.split() or [""], "most": most})
    return [Metric(name, int(series), int(nodes), float(last_s)) for name, series, nodes, last_s in rows]


def label_names(clickhouse: ClickHouse, account_id: AccountId, metric: str, most: int) -> list[Counted]:
    """The labels of a metric's series, or of all when it is empty, by name; every series has a node beside."""
    return _counted(clickhouse, "label_names", account_id, metric, {"most": most})


def label_values(
    clickhouse: ClickHouse, account_id: AccountId, metric: str, label: str, search: str, most: int
) -> list[Counted]:
    """Values of a label, `node` among them, that hold a text; those that begin with it come first."""
    return _counted(clickhouse, "label_values", account_id, metric, {"label": label, "search": search, "most": most})


def _counted(
    clickhouse: ClickHouse, name: str, account_id: AccountId, metric: str, parameters: dict[str, Any]
) -> list[Counted]:
    value = "toString(node)" if parameters.get("label") == NODE else _LABEL
    sql = question(name).replace("/*value*/", value)
    sql = sql.replace("/*metric*/", "metric = {metric:String}" if metric else "1")
    rows = _rows(clickhouse, sql, account_id, parameters | {"metric": metric})
    return [Counted(found, int(count)) for found, count in rows]


def _rows(clickhouse: ClickHouse, sql: str, account_id: AccountId, parameters: Mapping[str, Any]) -> list[list[Any]]:
    answer = msgspec.json.decode(ask(clickhouse, sql, {"account": account_id, **parameters}))
    found: list[list[Any]] = answer["data"]
    return found
