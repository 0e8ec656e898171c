"""One value a minute of a few metrics of many nodes, for the list of nodes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from domain.ids import AccountId
from schema import series
from schema.clickhouse_client import ClickHouse

Across = Literal["avg", "max", "sum"]
"""What makes one value of the parts of a node that tells no total."""


class _Answer(msgspec.Struct):
    data: list[tuple[str, str, list[int], list[float | None]]]


@dataclass(frozen=True, slots=True)
class Minutes:
    """One metric of one node: its value in those minutes, counted from the first one asked for, that have samples."""

    node: str
    metric: str
    minutes: Sequence[int]
    values: Sequence[float | None]


def read(
    clickhouse: ClickHouse,
    account_id: AccountId,
    metrics: Mapping[str, Across],
    from_s: int,
    to_s: int,
    nodes: Sequence[str] | None = None,
) -> list[Minutes]:
    """The values in [from_s, to_s), Unix seconds on whole minutes, of these nodes or of all.

    Raises StoreUnavailable, or InvalidQuery when it is too much to read.
    """
    parameters: dict[str, Any] = {
        "account": account_id,
        "metrics": list(metrics),
        "averaged": [metric for metric, across in metrics.items() if across == "avg"],
        "summed": [metric for metric, across in metrics.items() if across == "sum"],
        "from_s": from_s,
        "to_s": to_s,
    }
    condition = "1" if nodes is None else "node IN {nodes:Array(String)}"
    sql = series.question("node_figures").replace("/*nodes*/", condition)
    if nodes is not None:
        parameters["nodes"] = list(nodes)
    answer = msgspec.json.decode(series.ask(clickhouse, sql, parameters), type=_Answer)
    return [Minutes(*row) for row in answer.data]
