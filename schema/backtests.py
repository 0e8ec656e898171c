"""Reads what a condition can be tried over: its groups' values of the last month, from the 1m rollup."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from domain.backtest import Line
from domain.condition_specs import MetricRule
from domain.evaluation import group
from domain.ids import AccountId
from domain.series import MINUTE, Plan
from schema import query
from schema.clickhouse_client import ClickHouse
from schema.query import Cut

DAYS: Final = 30
FINE_S, COARSE_S = 60, 300
FEW, MOST = 5, 20
"""Up to FEW groups are tried minute by minute, MOST of more in steps of five: about 200 000 values either way."""
_values = msgspec.json.Decoder(list[float | None]).decode


@dataclass(frozen=True, slots=True)
class Stored:
    """What there is.

    lines    the groups that are tried: all, or those with the largest values of `count`
    from_s   when the first bucket begins, Unix seconds
    """

    lines: list[Line]
    count: int
    from_s: int
    to_s: int
    step_s: int


def read(clickhouse: ClickHouse, account_id: AccountId, rule: MetricRule, now: datetime) -> Stored:
    """The last month, up to the last whole bucket. Raises StoreUnavailable, InvalidQuery."""
    count, _ = query.count_lines(clickhouse, account_id, rule.query, Cut(_plan(COARSE_S, now)))
    step_s = _step_s(rule.window_s, FINE_S if count <= FEW else COARSE_S)
    plan = _plan(step_s, now)
    found = query.read(clickhouse, account_id, rule.query, Cut(plan), FEW if count <= FEW else MOST)
    lines = [Line(group(line.labels), _values(line.values)) for line in found.lines]
    return Stored(lines, found.count, plan.from_s, plan.to_s, step_s)


def _step_s(window_s: int, least_s: int) -> int:
    """As long as the window, in whole steps of the rollup."""
    return max(least_s, -(-window_s // MINUTE.width_s) * MINUTE.width_s)


def _plan(step_s: int, now: datetime) -> Plan:
    to_s = int(now.timestamp()) // step_s * step_s
    return Plan(MINUTE, step_s, to_s - DAYS * 86_400 // step_s * step_s, to_s)
