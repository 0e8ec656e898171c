"""Tables made again from a backup: the statement that made them, then their parts, not through any view."""

from collections.abc import Callable, Generator
from pathlib import Path

from schema.clickhouse_client import ClickHouse
from schema.migrate import DDL_SETTINGS
from schema.samples import INSERT_SETTINGS

_ROWS = 1_000_000
_ROWS_SETTINGS = {
    **INSERT_SETTINGS,
    "max_insert_block_size": _ROWS,
    "min_insert_block_size_rows": _ROWS,
    "min_insert_block_size_bytes": 256 * 1024 * 1024,
    # A part's rows are as a merge left them, and equal blocks of two parts are two.
    "optimize_on_insert": 0,
    "insert_deduplicate": 0,
}


class TableParts:
    """The tables of one ClickHouse database that is being filled."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    def is_empty(self) -> bool:
        """Whether the database has no table."""
        sql = "SELECT count() FROM system.tables WHERE database = {database:String}"
        return bool(self._clickhouse.query(sql, {"database": self._clickhouse.database}).result_rows == [(0,)])

    def make(self, sql: str) -> None:
        """Run the statement that makes a table or a view."""
        self._clickhouse.command(sql, settings=DDL_SETTINGS)

    def rest(self, table: str) -> None:
        """No merges: they would make fewer rows of those that are to be counted."""
        self._clickhouse.command(f"SYSTEM STOP MERGES `{table}`")

    def work(self, table: str) -> None:
        """Merges again."""
        self._clickhouse.command(f"SYSTEM START MERGES `{table}`")

    def attach(self, table: str, part: str, write: Callable[[Path], None]) -> None:
        """Add a part by its files, which `write` puts into a folder that is made for it among ClickHouse's own."""
        folder = self._folder_of(table) / "detached" / part
        folder.mkdir(mode=0o750)
        write(folder)
        self._clickhouse.command(f"ALTER TABLE `{table}` ATTACH PART '{part}'")

    def insert(self, table: str, rows: Generator[bytes]) -> None:
        """Add a part by its rows, in format Native."""
        self._clickhouse.raw_insert(table, rows, fmt="Native", settings=_ROWS_SETTINGS)

    def count(self, table: str) -> int:
        """How many rows there are."""
        return int(str(self._clickhouse.command(f"SELECT count() FROM `{table}`")))  # noqa: S608  # of our manifest

    def _folder_of(self, table: str) -> Path:
        sql = "SELECT data_paths[1] FROM system.tables WHERE database = {database:String} AND name = {name:String}"
        about = {"database": self._clickhouse.database, "name": table}
        return Path(str(self._clickhouse.query(sql, about).result_rows[0][0]))
