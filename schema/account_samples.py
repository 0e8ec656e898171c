"""What ClickHouse holds of one account, as Parquet, a partition at a time: streams, never in memory as a whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.ids import AccountId
from schema.clickhouse_client import ClickHouse

_STORED_AS = frozenset({"scaled", "divisor", "unscaled"})
"""How a value lies on disk (ADR 0009); `value` is what was sent."""
_ALSO = frozenset({"value"})
_SETTINGS: dict[str, str | int] = {
    "output_format_parquet_compression_method": "zstd",
    "output_format_parquet_row_group_size": 250_000,
    "max_threads": 2,
    "do_not_merge_across_partitions_select_final": 1,
}


@dataclass(frozen=True)
class AccountTable:
    """A table that keeps something of accounts; `columns` are those worth taking elsewhere."""

    name: str
    columns: Sequence[str]
    is_merged: bool

    @property
    def source(self) -> str:
        """Rows that merges have not yet brought together count as one."""
        return f"`{self.name}` FINAL" if self.is_merged else f"`{self.name}`"


def tables(clickhouse: ClickHouse) -> list[AccountTable]:
    """Every table with a column `account` and rows of its own, by name."""
    rows = clickhouse.query(
        "SELECT t.name, t.engine, groupArray((c.name, c.default_kind)) AS columns FROM system.tables AS t"
        " INNER JOIN (SELECT table, name, default_kind FROM system.columns"
        " WHERE database = {database:String} ORDER BY table, position) AS c ON c.table = t.name"
        " WHERE t.database = {database:String} AND t.engine LIKE '%MergeTree' GROUP BY ALL ORDER BY t.name",
        {"database": clickhouse.database},
    ).result_rows
    return [
        AccountTable(
            name,
            [column for column, kind in columns if _is_shown(column, kind)],
            engine.removeprefix("Replicated") != "MergeTree",
        )
        for name, engine, columns in rows
        if any(column == "account" for column, _ in columns)
    ]


def partitions(clickhouse: ClickHouse, account_id: AccountId, table: AccountTable) -> list[tuple[str, int]]:
    """In which partitions the account has rows, and how many are stored there."""
    sql = (
        f"SELECT _partition_id, count() FROM `{table.name}` WHERE account = {{account:UUID}}"  # noqa: S608  # a table of ours
        " GROUP BY _partition_id ORDER BY _partition_id"
    )
    rows = clickhouse.query(sql, {"account": str(account_id)}).result_rows
    return [(str(partition), int(count)) for partition, count in rows]


def parquet(clickhouse: ClickHouse, account_id: AccountId, table: AccountTable, partition: str) -> Iterator[bytes]:
    """The account's rows of one partition."""
    columns = ", ".join(f"`{column}`" for column in table.columns)
    sql = (
        f"SELECT {columns} FROM {table.source} WHERE account = {{account:UUID}}"  # noqa: S608  # of our own tables
        " AND _partition_id = {partition:String} FORMAT Parquet"
    )
    about = {"account": str(account_id), "partition": partition}
    yield from clickhouse.stream(sql, about, settings=_SETTINGS)


def _is_shown(column: str, kind: str) -> bool:
    return column in _ALSO or (not kind and column != "account" and column not in _STORED_AS)
