"""How many series an account has, held against how many it may have."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

from domain.ids import AccountId
from schema import series
from schema.clickhouse_client import ClickHouse

LIVE: Final = timedelta(days=1)
"""A series that had no sample for so long does not count."""


class _Answer(msgspec.Struct):
    data: list[tuple[int]]


def count(clickhouse: ClickHouse, account_id: AccountId, now: datetime) -> int:
    """The account's live series. Raises StoreUnavailable."""
    parameters = {"account": account_id, "seen_since_s": max(0, int((now - LIVE).timestamp()))}
    answer = msgspec.json.decode(series.ask(clickhouse, series.question("series_count"), parameters), type=_Answer)
    return answer.data[0][0]


def left(clickhouse: ClickHouse, account_id: AccountId, budget: int, now: datetime) -> int:
    """How many more it may have; below 0 when it has too many already. Raises StoreUnavailable."""
    return budget - count(clickhouse, account_id, now)
