"""ClickHouse's tables as they are at one moment: clones in a database of their own, whose parts are hard links.

A clone takes milliseconds and no space, since parts never change; nothing merges in it, so it stays what it was while
it is read for hours. It needs nothing that a server must be configured for, and is the same in the embedded engine.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.errors import StartRefused, StoreUnavailable
from schema.clickhouse_client import ClickHouse
from schema.migrate import DDL_SETTINGS

_QUIET_WITHIN_S = 20.0
_LOOK_EVERY_S = 0.01
_FORGOTTEN_S = 3 * 86_400
_LAST = "node_events"
"""Its copied mark is cloned before it: what is there twice by that is dropped, what was missing would stay away."""


@dataclass(frozen=True)
class Kept:
    """A table or view; `keeps` tells whether it has rows of its own. `sql` makes it, in whichever database."""

    name: str
    engine: str
    sql: str

    @property
    def keeps(self) -> bool:
        return self.engine.endswith("MergeTree")

    @property
    def is_view(self) -> bool:
        return self.engine in {"MaterializedView", "View"}


@dataclass(frozen=True)
class PartSeen:
    """A part of a clone; `path` is where the server keeps it, `digest` its own of all the part's files."""

    name: str
    partition: str
    digest: str
    rows: int
    path: Path


class Clones:
    """The clones of one ClickHouse's tables."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse
        self.database = f"{clickhouse.database}_at_backup"

    def tables(self) -> Sequence[Kept]:
        """All tables and views: first what keeps rows, then what they pass through, views last."""
        sql = "SELECT name, engine, create_table_query FROM system.tables WHERE database = {database:String}"
        rows = self._clickhouse.query(sql, {"database": self._clickhouse.database}).result_rows
        found = [Kept(name, engine, self._bare(sql)) for name, engine, sql in rows]
        for table in found:
            if table.engine.startswith("Replicated") or table.engine == "Distributed":
                raise StartRefused(f"{table.name} is on a cluster: back ClickHouse up with its own BACKUP … ON CLUSTER")
        return sorted(found, key=lambda table: (table.is_view, not table.keeps, table.name == _LAST, table.name))

    def prepare(self, tables: Sequence[Kept]) -> None:
        """Make the clones of those that keep rows, empty."""
        self.drop()
        self._clickhouse.command(f"CREATE DATABASE `{self.database}`")
        for table in tables:
            if table.keeps:
                clone, source = self._names(table)
                self._clickhouse.command(f"CREATE TABLE {clone} AS {source}", settings=DDL_SETTINGS)
                self._clickhouse.command(f"SYSTEM STOP MERGES {clone}")

    def fill(self, tables: Sequence[Kept]) -> None:
        """Link the parts into them. The caller sees to it that nobody inserts; merges go on, and do no harm."""
        for table in tables:
            if table.keeps:
                clone, source = self._names(table)
                self._clickhouse.command(f"ALTER TABLE {clone} ATTACH PARTITION ALL FROM {source}")

    def drop(self) -> None:
        """Let go of them, also of those that a killed predecessor has left."""
        self._clickhouse.command(f"DROP DATABASE IF EXISTS `{self.database}` SYNC")

    def drop_forgotten(self, after_s: int = _FORGOTTEN_S) -> None:
        """Let go of those that nobody reads any more: whoever made them was killed, and they keep parts on the disk."""
        sql = (
            "SELECT count() FROM system.tables WHERE database = {database:String}"
            " HAVING count() > 0 AND max(metadata_modification_time) < now() - {after_s:Int64}"
        )
        if self._clickhouse.query(sql, {"database": self.database, "after_s": after_s}).result_rows:
            self.drop()

    def parts(self, table: str) -> Sequence[PartSeen]:
        """Of one clone, in the order of their names."""
        rows = self._clickhouse.query(
            "SELECT name, partition_id, hash_of_all_files, rows, path FROM system.parts"
            " WHERE active AND database = {database:String} AND table = {table:String} ORDER BY name",
            {"database": self.database, "table": table},
        ).result_rows
        return [
            PartSeen(name, partition, digest, int(count), Path(path)) for name, partition, digest, count, path in rows
        ]

    def rows(self, table: str, part: str) -> Iterator[bytes]:
        """A part's rows in format Native, piece by piece."""
        sql = f"SELECT * FROM `{self.database}`.`{table}` WHERE _part = {{part:String}} FORMAT Native"  # noqa: S608  # of ours
        yield from self._clickhouse.stream(sql, {"part": part})

    def version(self) -> str:
        """ClickHouse's own."""
        return str(self._clickhouse.command("SELECT version()"))

    def _names(self, table: Kept) -> tuple[str, str]:
        return f"`{self.database}`.`{table.name}`", f"`{self._clickhouse.database}`.`{table.name}`"

    def _bare(self, sql: str) -> str:
        return re.sub(rf"(?<![\w.])`?{re.escape(self._clickhouse.database)}`?\.(?=[\w`])", "", sql)


def wait_quiet(clickhouse: ClickHouse, within_s: float = _QUIET_WITHIN_S) -> None:
    """Wait for INSERTs that ClickHouse still runs for somebody who has gone. Raises StoreUnavailable."""
    until = time.monotonic() + within_s
    while _inserts(clickhouse):
        if time.monotonic() > until:
            raise StoreUnavailable("ClickHouse is still at an INSERT that was begun long ago; try again later")
        time.sleep(_LOOK_EVERY_S)


def _inserts(clickhouse: ClickHouse) -> int:
    sql = "SELECT count() FROM system.processes WHERE current_database = {database:String} AND query_kind = 'Insert'"
    with contextlib.suppress(IndexError):
        return int(clickhouse.query(sql, {"database": clickhouse.database}).result_rows[0][0])
    return 0
