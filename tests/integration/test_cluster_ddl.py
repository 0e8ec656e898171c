"""What migrations are on a cluster: every statement parses, no column is lost, and a shard counts a token once.

No test here has a cluster; tests/containers/test_cluster.py has, wherever there is a Docker engine.
"""

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.client import Client

from domain.settings import Settings
from schema import cluster, erasures, migrate
from schema.clickhouse_client import ClickHouse
from schema.samples import INSERT_SETTINGS
from tests.clickhouse_server import Server

CLUSTER, DATABASE = "metrist", "metrist_db"
STEPS = [
    (f"{step.name}-{number}", statement)
    for step in migrate.migrations()
    for number, statement in enumerate(migrate.ddl(step, CLUSTER, DATABASE))
]
ROWS = """
    ('7d8a4c1e-0000-4000-8000-000000000001', 'load.1m', 'web-1', '', ['2026-01-01 00:00:10', '2026-01-01 00:01:10'],
        [1.5, 2.5]),
    ('7d8a4c1e-0000-4000-8000-000000000001', 'load.1m', 'web-2', 'a="b"', ['2026-01-01 01:00:10'], [-0.1])
"""
TOKENED = {**INSERT_SETTINGS, "insert_deduplication_token": "segment-1"}


@pytest.fixture
def single(clickhouse_server: Server, clickhouse_database: str) -> Iterator[Client]:
    """A database with the tables of one server."""
    with clickhouse_server.client(database=clickhouse_database, settings=migrate.DDL_SETTINGS) as client:
        for step in migrate.migrations():
            for statement in step.statements():
                client.command(statement)
        yield client


@pytest.fixture
def shard(clickhouse_server: Server) -> Iterator[Client]:
    """A database as one shard has it: without Keeper, and without what lies over the shards."""
    name = "test_shard_of_a_cluster"
    with clickhouse_server.client(settings=migrate.DDL_SETTINGS) as client:
        client.command(f"DROP DATABASE IF EXISTS {name} SYNC")
        client.command(f"CREATE DATABASE {name}")
        client.database = name
        for _, statement in STEPS:
            if "Distributed(" not in statement and "TO ingest_series AS" not in statement:
                client.command(_alone(statement))
        yield client
        client.command(f"DROP DATABASE {name} SYNC")


@pytest.mark.parametrize(("name", "statement"), STEPS, ids=[name for name, _ in STEPS])
def test_every_statement_parses(clickhouse_server: Server, name: str, statement: str) -> None:
    assert _tree(clickhouse_server, statement).startswith(("CreateQuery", "AlterQuery"))
    with clickhouse_server.client() as client:
        again = client.query("SELECT formatQuery({sql:String})", {"sql": statement}).result_rows[0][0]
        assert "ON CLUSTER" in str(again)


def test_what_is_changed_later_parses(clickhouse_server: Server) -> None:
    changes = [
        *cluster.rendered("ALTER TABLE samples MODIFY TTL toDateTime(ts) + toIntervalDay(3)", CLUSTER, DATABASE),
        *cluster.rendered("ALTER TABLE node_events DELETE WHERE node = 'x'", CLUSTER, DATABASE),
        *cluster.rendered("ALTER TABLE series ADD COLUMN IF NOT EXISTS unit String", CLUSTER, DATABASE),
        *cluster.rendered("DROP VIEW IF EXISTS series_view", CLUSTER, DATABASE),
        *cluster.rendered("DROP TABLE IF EXISTS samples_1h", CLUSTER, DATABASE),
        f"SELECT 1 FROM {cluster.on_all('system.mutations', CLUSTER)}",
    ]
    for change in changes:
        assert _tree(clickhouse_server, change), change
    assert [change.split()[2] for change in changes[:6]] == [
        "samples_local",
        "node_events",
        "series_local",
        "series",
        "IF",
        "IF",
    ]


def test_all_tables_are_there_with_all_their_columns(single: Client, shard: Client) -> None:
    of_one, of_shard = _columns(single), _columns(shard)
    spread = {cluster.stored(table, CLUSTER): columns for table, columns in of_one.items()}
    assert of_shard == spread
    over = {_name(statement): statement for _, statement in STEPS if "Distributed(" in statement}
    assert over.keys() == cluster.SPREAD.keys()
    for table, statement in over.items():
        assert f" AS {DATABASE}.{table}_local\n" in statement  # and so has its columns
        assert set(re.findall(r"\w+", cluster.SPREAD[table])) - {"cityHash64"} <= of_one[table].keys()


def test_whatever_keeps_rows_is_replicated_and_knows_tokens() -> None:
    stored = [text for _, text in STEPS if "MergeTree" in text]
    assert len(stored) >= 6
    for statement in stored:
        assert re.search(r"ENGINE = Replicated\w*MergeTree\('/clickhouse/tables/", statement), statement
        assert "non_replicated" not in statement
    paths = [re.search(r"MergeTree\('([^']+)'", text) for text in stored]
    assert len({found[1] for found in paths if found}) == len(stored), "two tables have one path in Keeper"


def test_every_table_to_be_erased_has_a_place() -> None:
    for table in erasures.TABLES:
        assert table in cluster.SPREAD or table in cluster.EVERYWHERE


def test_a_shard_counts_a_token_once_and_as_one_server_does(single: Client, shard: Client) -> None:
    for _ in range(2):
        single.command(f"INSERT INTO ingest_series VALUES {ROWS}", settings=TOKENED)
        shard.command(f"INSERT INTO ingest_series_local VALUES {ROWS}", settings=TOKENED)
    for table in ("samples", "samples_1m", "samples_1h", "series"):
        ours = f"SELECT * FROM {cluster.stored(table, CLUSTER)} ORDER BY ALL"
        assert shard.query(ours).result_rows == single.query(f"SELECT * FROM {table} ORDER BY ALL").result_rows
    assert shard.query("SELECT count() FROM samples_local").result_rows == [(3,)]


def test_every_step_may_run_again(clickhouse_server: Server, clickhouse_database: str) -> None:
    server = clickhouse_server
    url = f"http://{server.username}:{quote(server.password)}@{server.host}:{server.port}/{clickhouse_database}"
    with closing(ClickHouse(url)) as clickhouse:
        first = migrate.upgrade(clickhouse, Settings())
        before = migrate.describe(clickhouse)
        assert migrate.upgrade(clickhouse, Settings()) == []
        assert migrate.upgrade(clickhouse, Settings(), again=True) == first
        assert migrate.describe(clickhouse) == before
        (count,) = clickhouse.query("SELECT count() FROM migrations").result_rows[0]
        assert count == len(first)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE IF NOT EXISTS strange\n(\n    a String\n)\nENGINE = MergeTree ORDER BY a",
        "ALTER TABLE strange ADD COLUMN b String",
        "ALTER TABLE samples ADD COLUMN b String, MODIFY TTL ts + 1",
        "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO strange AS SELECT * FROM samples",
        "RENAME TABLE samples TO other",
    ],
)
def test_what_nobody_has_thought_of_is_refused(statement: str) -> None:
    with pytest.raises(cluster.UnknownTable):
        list(cluster.rendered(statement, CLUSTER, DATABASE))


def test_without_a_cluster_a_statement_is_what_it_was() -> None:
    assert list(cluster.rendered("ALTER TABLE x DELETE WHERE 1", "", DATABASE)) == ["ALTER TABLE x DELETE WHERE 1"]
    for step in migrate.migrations():
        assert list(migrate.ddl(step, "", DATABASE)) == list(step.statements())


@pytest.mark.parametrize("path", sorted(Path("schema/queries").glob("*.sql")), ids=lambda path: path.stem)
def test_no_question_names_a_table_of_the_shards(path: Path) -> None:
    assert "_local" not in path.read_text()


def _tree(server: Server, statement: str) -> str:
    """What the engine's parser makes of it."""
    with server.http() as http:
        answer = http.post("/", content=f"EXPLAIN AST {statement}")
    assert answer.status_code == 200, answer.text
    return answer.text


def _alone(statement: str) -> str:
    text = statement.replace(f" ON CLUSTER '{CLUSTER}'", "")
    text = re.sub(r"Replicated(\w*MergeTree)\([^)]*\)", r"\1", text)
    return re.sub(r"\breplicated_deduplication_window\b", "non_replicated_deduplication_window", text)


def _name(statement: str) -> str:
    found = re.match(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)
    assert found
    return found[1]


def _columns(client: Client) -> dict[str, dict[str, tuple[str, str, str, str]]]:
    """Table → column → its type, default and codec; views are what they fill."""
    sql = """
        SELECT table, name, type, default_kind, default_expression, compression_codec
        FROM system.columns
        WHERE database = {database:String} AND table NOT LIKE '%view'
    """
    found: dict[str, dict[str, tuple[str, str, str, str]]] = {}
    for table, name, *rest in client.query(sql, {"database": client.database}).result_rows:
        found.setdefault(table, {})[name] = (*map(str, rest),)  # type: ignore[assignment]
    return found
