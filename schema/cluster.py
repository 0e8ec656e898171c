"""The same tables on a cluster of ClickHouse: what a migration says, said for every shard and for all of them.

Migrations are written once, for one server. With a cluster's name (METRIST_CLICKHOUSE_CLUSTER) each of their statements
becomes one or more, run ON CLUSTER (ADR 0021):

- a table in SPREAD lies on the shards as NAME_local, Replicated where it stores anything, and under its own name is a
  Distributed one over them: who reads or writes NAME need not know of shards. Series are the unit: all samples of one,
  raw and rolled up, and its row in `series`, are on one shard.
- a table in EVERYWHERE is one Replicated table, whole on each server: small, and written as a whole or not at all.
- a table in ENTRY stores nothing and is there on each server, so that any of them takes an INSERT.
- a view reads and fills the _local tables of its own server; only `ingest_view` writes to a Distributed one: there a
  segment's series part ways.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

LOCAL: Final = "_local"
BY_SERIES: Final = "cityHash64(account, metric, node, labelset)"
SPREAD: Final[Mapping[str, str]] = dict.fromkeys(
    ("samples", "samples_1m", "samples_1h", "series", "ingest_series"), BY_SERIES
)
"""Table → what decides the shard of a row."""
EVERYWHERE: Final = frozenset({"node_events", "node_events_copied", "monitor_runs", "migrations"})
ENTRY: Final = frozenset({"ingest"})

_TABLE = re.compile(
    r"CREATE TABLE IF NOT EXISTS (?P<name>\w+)\s*(?P<columns>\(.*?\n\))\s*ENGINE = (?P<engine>\w+)(?P<rest>.*)",
    re.DOTALL,
)
_VIEW = re.compile(
    r"CREATE MATERIALIZED VIEW IF NOT EXISTS (?P<name>\w+) TO (?P<target>\w+) AS\s(?P<query>.*)", re.DOTALL
)
_ALTER = re.compile(r"ALTER TABLE (?P<name>\w+)\s(?P<change>.*)", re.DOTALL)
_DROP = re.compile(r"DROP (?P<kind>TABLE|VIEW) IF EXISTS (?P<name>\w+)")
_OF_COLUMNS = re.compile(r"\b(ADD|DROP|RENAME|MODIFY|ALTER) COLUMN\b")
_OF_STORAGE = re.compile(r"\b(TTL|SETTING|CODEC|INDEX|PROJECTION|DELETE WHERE)\b")


class UnknownTable(Exception):
    """A migration names a table, or does something, of which nobody has said here what it is on a cluster."""


def rendered(statement: str, cluster: str, database: str) -> Iterator[str]:
    """What one statement of a migration is on a cluster, in the order in which it is to be run; itself without one.

    Raises UnknownTable.
    """
    text = re.sub(r"^\s*--.*\n?", "", statement, flags=re.MULTILINE).strip()
    if not cluster:
        yield text
        return
    for form, render in ((_TABLE, _table), (_VIEW, _view), (_ALTER, _alter), (_DROP, _drop)):
        if found := form.fullmatch(text):
            yield from render(found, cluster, database)
            return
    raise UnknownTable(f"nobody has said what this is on a cluster: {text[:200]}")


def stored(table: str, cluster: str) -> str:
    """Where a table's parts are: what mutations, retention and tables of the system call it."""
    return f"{table}{LOCAL}" if cluster and table in SPREAD else table


def on_all(system: str, cluster: str) -> str:
    """A table of the system, of every server of the cluster."""
    return f"clusterAllReplicas({_quoted(cluster)}, {system})" if cluster else system


def _table(found: re.Match[str], cluster: str, database: str) -> Iterator[str]:
    name, columns, engine, rest = (found[part] for part in ("name", "columns", "engine", "rest"))
    rest = rest.replace("non_replicated_deduplication_window", "replicated_deduplication_window")
    if name in ENTRY and engine == "Null":
        yield f"CREATE TABLE IF NOT EXISTS {name}{_on(cluster)}\n{columns}\nENGINE = Null"
    elif name in EVERYWHERE:
        path = f"'/clickhouse/tables/{{database}}/{name}/all', '{{shard}}-{{replica}}'"
        yield f"CREATE TABLE IF NOT EXISTS {name}{_on(cluster)}\n{columns}\nENGINE = Replicated{engine}({path}){rest}"
    elif name in SPREAD:
        local = f"{name}{LOCAL}"
        path = f"'/clickhouse/tables/{{database}}/{name}/{{shard}}', '{{replica}}'"
        kind = "Null" if engine == "Null" else f"Replicated{engine}({path}){rest}"
        yield f"CREATE TABLE IF NOT EXISTS {local}{_on(cluster)}\n{columns}\nENGINE = {kind}"
        over = f"{_quoted(cluster)}, {_quoted(database)}, {_quoted(local)}, {SPREAD[name]}"
        yield (
            f"CREATE TABLE IF NOT EXISTS {name}{_on(cluster)} AS {database}.{local}\n"
            f"ENGINE = Distributed({over})\n"
            "SETTINGS fsync_after_insert = 1, fsync_directories = 1"
        )
    else:
        raise UnknownTable(f"say in schema/cluster.py where table {name} lies on a cluster")


def _view(found: re.Match[str], cluster: str, _database: str) -> Iterator[str]:
    """A view that reads what is spread fills what is spread, on its own server."""
    name, target, query = found["name"], found["target"], found["query"]
    sources = set(re.findall(r"\bFROM (\w+)", query))
    _known(*sources, target)
    if sources & SPREAD.keys():
        query = re.sub(r"\bFROM (\w+)", lambda source: f"FROM {stored(source[1], cluster)}", query)
        target = stored(target, cluster)
    yield f"CREATE MATERIALIZED VIEW IF NOT EXISTS {name}{_on(cluster)} TO {target} AS\n{query}"


def _alter(found: re.Match[str], cluster: str, _database: str) -> Iterator[str]:
    """Columns change on the shards and on what lies over them, storage on the shards alone."""
    name, change = found["name"], found["change"]
    _known(name)
    if name in EVERYWHERE:
        yield f"ALTER TABLE {name}\n{change}"  # Keeper tells the others
        return
    below = f"ALTER TABLE {stored(name, cluster)}{_on(cluster)}\n{change}"
    above = f"ALTER TABLE {name}{_on(cluster)}\n{change}"
    if name in ENTRY or not _OF_COLUMNS.search(change):
        yield below
        return
    if _OF_STORAGE.search(change):
        raise UnknownTable(f"change columns and storage of {name} in statements of their own")
    yield from (above, below) if "DROP COLUMN" in change else (below, above)


def _drop(found: re.Match[str], cluster: str, _database: str) -> Iterator[str]:
    kind, name = found["kind"], found["name"]
    yield f"DROP {kind} IF EXISTS {name}{_on(cluster)} SYNC"
    if name in SPREAD:
        yield f"DROP {kind} IF EXISTS {stored(name, cluster)}{_on(cluster)} SYNC"


def _known(*tables: str) -> None:
    for table in tables:
        if table not in SPREAD and table not in EVERYWHERE and table not in ENTRY:
            raise UnknownTable(f"say in schema/cluster.py where table {table} lies on a cluster")


def _on(cluster: str) -> str:
    return f" ON CLUSTER {_quoted(cluster)}"


def _quoted(name: str) -> str:
    """Names come from settings that allow letters, digits, _ and - only."""
    return f"'{name}'"
