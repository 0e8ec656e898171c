"""What people choose among where a dashboard leaves a label open: its values among the series of some metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from domain.ids import AccountId
from domain.query import NODE
from schema.clickhouse_client import ClickHouse
from schema.series import LABELS, ask, question

_LABEL = f"{LABELS}[{{label:String}}]"
VALUES_MAX = 1_000
"""More than that nobody chooses among in a list."""


@dataclass(frozen=True)
class Values:
    """Values in their order; `is_all` is false where there are more."""

    values: Sequence[str]
    is_all: bool


class _Answer(msgspec.Struct):
    data: list[list[str]]


def read(
    clickhouse: ClickHouse, account_id: AccountId, label: str, metrics: Sequence[str], seen_since_s: int
) -> Values:
    """The values that `label` (`node` too) has among series of these metrics that were seen since then.

    Raises StoreUnavailable, InvalidQuery when it would read too much.
    """
    parameters = {
        "account": account_id,
        "label": label,
        "metrics": list(metrics),
        "seen_since_s": max(0, seen_since_s),
        "values_max": VALUES_MAX + 1,
    }
    sql = question("variable_values").replace("/*value*/", "toString(node)" if label == NODE else _LABEL)
    answer = msgspec.json.decode(ask(clickhouse, sql, parameters), type=_Answer)
    values = [row[0] for row in answer.data]
    return Values(values[:VALUES_MAX], len(values) <= VALUES_MAX)
