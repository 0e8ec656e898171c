"""Bring ClickHouse to today's tables: plain SQL files, forward only, each run once and remembered by checksum."""

import hashlib
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import urlsplit

import structlog

from domain.errors import StartRefused
from domain.settings import Settings
from schema import cluster
from schema.clickhouse_client import ClickHouse

log = structlog.get_logger()
DDL_SETTINGS = {"enable_alp_codec": 1}
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LEDGER = """
CREATE TABLE IF NOT EXISTS migrations
(
    number   UInt16,
    name     String,
    checksum String,
    ran_at   DateTime('UTC') DEFAULT now()
)
ENGINE = MergeTree
ORDER BY number
"""
_RETAINED = {
    "samples": "raw_retention_days",
    "samples_1m": "minute_retention_days",
    "samples_1h": "hour_retention_days",
    "node_events": "hour_retention_days",
    "monitor_runs": "raw_retention_days",
}


@dataclass(frozen=True)
class Migration:
    """One step: `number` without gaps from 1, `checksum` of the file's bytes."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()[:32]

    def statements(self) -> Iterator[str]:
        """The file's statements; a semicolon at a line's end closes one."""
        for part in re.split(r";[ \t]*\n", self.sql + "\n"):
            statement = re.sub(r"^\s*--.*\n?", "", part, flags=re.MULTILINE).strip()
            if statement:
                yield statement


def migrations() -> list[Migration]:
    """Every step this release knows; raises StartRefused for a gap or a twin in the numbers."""
    found = []
    for entry in files("schema").joinpath("clickhouse").iterdir():
        match = _NAME.fullmatch(entry.name)
        if match:
            found.append(Migration(int(match[1]), entry.name, entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise StartRefused(f"migration numbers have a gap or a twin: {[migration.name for migration in found]}")
    return found


def upgrade(clickhouse: ClickHouse, settings: Settings, *, or_newer: bool = False, again: bool = False) -> list[str]:
    """Run the steps that are missing and set the retention; returns the names of what was run.

    again  run the others, too: on a cluster, for a server that was not there when they ran
    DDL is not transactional: a step that was cut off is run again, so each of its statements can be repeated.
    Raises StartRefused when a shipped file has changed since it ran, or a newer release has been here.
    """
    for statement in cluster.rendered(_LEDGER, clickhouse.cluster, clickhouse.database):
        clickhouse.command(statement)
    done = _done(clickhouse)
    known = migrations()
    _refuse_strangers(done, known, or_newer=or_newer)
    ran = []
    for migration in known:
        if migration.number in done and not again:
            continue
        for statement in ddl(migration, clickhouse.cluster, clickhouse.database):
            clickhouse.command(statement, settings=DDL_SETTINGS)
        if migration.number not in done:
            _remember(clickhouse, migration)
        ran.append(migration.name)
        log.info("migration_ran", name=migration.name)
    set_retention(clickhouse, settings)
    return ran


def ddl(migration: Migration, cluster_name: str, database: str) -> Iterator[str]:
    """What a step runs: its statements as they stand, or what they are on a cluster."""
    for statement in migration.statements():
        yield from cluster.rendered(statement, cluster_name, database) if cluster_name else (statement,)


def check(clickhouse: ClickHouse) -> None:
    """Raise StartRefused unless every step of this release has run."""
    exists = clickhouse.command("EXISTS TABLE migrations")
    done = _done(clickhouse) if int(str(exists)) else {}
    known = migrations()
    _refuse_strangers(done, known)
    missing = [migration.name for migration in known if migration.number not in done]
    if missing:
        raise StartRefused(f"ClickHouse lacks {', '.join(missing)}: run `metrist migrate`")


def describe(clickhouse: ClickHouse) -> str:
    """Every table as the engine reports it, without retention: what `current.sql` holds."""
    rows = clickhouse.query(
        "SELECT name, create_table_query FROM system.tables WHERE database = {database:String} ORDER BY name",
        {"database": clickhouse.database},
    ).result_rows
    return "\n\n".join(_laid_out(clickhouse, sql) for name, sql in rows if name != "migrations") + "\n"


def build_and_describe(url: str, settings: Settings) -> str:
    """Build everything from nothing in a scratch database of a real engine and describe it."""
    scratch = f"check_{secrets.token_hex(6)}"
    clickhouse = ClickHouse(urlsplit(url)._replace(path=f"/{scratch}").geturl())
    try:
        upgrade(clickhouse, settings)
        return describe(clickhouse)
    finally:
        clickhouse.command(f"DROP DATABASE IF EXISTS {scratch}")
        clickhouse.close()


def set_retention(clickhouse: ClickHouse, settings: Settings) -> None:
    """Make each tier's TTL what the settings say; parts that are there follow at their next merge."""
    for table, setting in _RETAINED.items():
        days = int(getattr(settings, setting))
        ttl = f"toDateTime(ts) + toIntervalDay({days})"
        made = str(clickhouse.command(f"SHOW CREATE TABLE {cluster.stored(table, clickhouse.cluster)}"))
        if f"TTL {ttl}" not in made:
            change = f"ALTER TABLE {table} MODIFY TTL {ttl} SETTINGS materialize_ttl_after_modify = 0"
            for statement in cluster.rendered(change, clickhouse.cluster, clickhouse.database):
                clickhouse.command(statement)
            log.info("retention_set", table=table, days=days)


def _done(clickhouse: ClickHouse) -> dict[int, str]:
    rows = clickhouse.query("SELECT number, any(checksum) FROM migrations GROUP BY number").result_rows
    return {int(number): str(checksum) for number, checksum in rows}


def _remember(clickhouse: ClickHouse, migration: Migration) -> None:
    clickhouse.command(
        "INSERT INTO migrations (number, name, checksum) VALUES ({number:UInt16}, {name:String}, {checksum:String})",
        parameters={"number": migration.number, "name": migration.name, "checksum": migration.checksum},
    )


def _refuse_strangers(done: dict[int, str], known: list[Migration], *, or_newer: bool = False) -> None:
    newest = known[-1].number
    if done and max(done) > newest and not or_newer:
        raise StartRefused(f"ClickHouse is at migration {max(done)}, which a newer release of Metrist has made")
    for migration in known:
        if done.get(migration.number, migration.checksum) != migration.checksum:
            raise StartRefused(f"{migration.name} has changed since it ran: mend it by a new number instead")


def _laid_out(clickhouse: ClickHouse, sql: str) -> str:
    pretty = clickhouse.query("SELECT formatQuery({sql:String})", {"sql": sql}).result_rows[0][0]
    bare = re.sub(rf"\b{re.escape(clickhouse.database)}\.", "", str(pretty))
    return re.sub(r"\nTTL .*", "", bare) + ";"
