"""The engine as clickhouse-connect sees it; a real ClickHouse must pass the same tests."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError

from tests.clickhouse_server import Server

AT = datetime(2026, 5, 5, 12, tzinfo=UTC)


@pytest.fixture
def client(clickhouse_server: Server, clickhouse_database: str) -> Iterator[Client]:
    with clickhouse_server.client(database=clickhouse_database) as client:
        yield client


@pytest.fixture
def numbers(client: Client) -> str:
    client.command("CREATE TABLE numbers (n UInt64, s String DEFAULT 'none') ENGINE = MergeTree ORDER BY n")
    return "numbers"


def test_says_who_it_is(client: Client) -> None:
    version, timezone = client.command("SELECT version(), timezone()")
    assert client.server_version == version
    assert timezone
    assert client.ping()
    assert len(client.server_settings) > 500


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"], ids="compress={}".format)
def test_both_ways_of_a_compressed_connection(
    clickhouse_server: Server, numbers: str, client: Client, compress: Any
) -> None:
    with clickhouse_server.client(database=client.database, compress=compress) as other:
        other.insert(numbers, [[n, f"row {n}"] for n in range(50_000)], column_names=["n", "s"])
        rows = other.query("SELECT n, s FROM numbers ORDER BY n").result_rows
    assert len(rows) == 50_000
    assert rows[-1] == (49_999, "row 49999")


def test_parameters_are_bound_by_the_server(client: Client) -> None:
    text = "it's \\ a\ttab,\na line, {x:String} and ü"
    bound = {
        "text": text,
        "at": AT,
        "list": ["a", "b'c"],
        "table": "one",
        "none": None,
    }
    row = client.query(
        "SELECT {text:String}, {at:DateTime64(3, 'UTC')}, {list:Array(String)}, {none:Nullable(String)}, count() "
        "FROM system.{table:Identifier}",
        parameters=bound,
    ).first_row
    assert row == (text, AT.replace(tzinfo=None), ["a", "b'c"], None, 1)


def test_parameters_too_long_for_a_url(client: Client) -> None:
    names = [f"node-{n}" for n in range(5_000)]
    assert client.query("SELECT length({names:Array(String)})", parameters={"names": names}).first_row == (5_000,)


@pytest.mark.parametrize(
    ("fmt", "expected"),
    [
        ("TabSeparated", b"0\ta\n1\ta\n"),
        ("CSV", b'0,"a"\n1,"a"\n'),
        ("CSVWithNames", b'"n","s"\n0,"a"\n1,"a"\n'),
        ("JSONEachRow", b'{"n":0,"s":"a"}\n{"n":1,"s":"a"}\n'),
        ("JSONCompactEachRow", b'[0, "a"]\n[1, "a"]\n'),
        ("Values", b"(0,'a'),(1,'a')"),
        ("RowBinary", b"\x00\x01a\x01\x01a"),
        ("Null", b""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_raw_query_in_a_format(client: Client, fmt: str, expected: bytes) -> None:
    assert client.raw_query("SELECT toUInt8(number) AS n, 'a' AS s FROM numbers(2)", fmt=fmt) == expected


def test_a_format_is_whole_over_many_blocks(client: Client) -> None:
    sql = "SELECT number FROM numbers(200000) SETTINGS max_block_size = 10000"
    assert client.raw_query(sql, fmt="CSVWithNames").count(b'"number"') == 1
    assert client.raw_query(sql, fmt="JSONCompact").rstrip().endswith(b"}")
    assert client.raw_query(sql, fmt="RowBinary") == b"".join(n.to_bytes(8, "little") for n in range(200_000))


def test_totals_come_last(client: Client) -> None:
    sql = "SELECT number % 2 AS parity, count() FROM numbers(10) GROUP BY parity WITH TOTALS ORDER BY parity"
    assert client.raw_query(sql, fmt="TabSeparated") == b"0\t5\n1\t5\n\n0\t10\n"


def test_an_empty_result_has_its_columns(client: Client, numbers: str) -> None:
    assert client.query("SELECT n FROM numbers").result_rows == []
    assert client.query("SELECT n, s FROM numbers LIMIT 0").column_names == ("n", "s")
    assert client.query_arrow("SELECT n FROM numbers").num_rows == 0
    assert client.command("SELECT n FROM numbers") == ""


def test_settings_do_not_leak(client: Client) -> None:
    sql = "SELECT value, changed FROM system.settings WHERE name = 'max_result_rows'"
    before = client.query(sql).first_row
    assert client.query(sql, settings={"max_result_rows": 77}).first_row == ("77", True)
    assert client.query(sql).first_row == before
    with pytest.raises(DatabaseError):
        client.query("SELECT number FROM numbers(100)", settings={"max_result_rows": 7})
    assert client.query(sql).first_row == before


def test_a_setting_that_cannot_be_undone_does_not_leak(client: Client, numbers: str) -> None:
    with pytest.raises(DatabaseError, match="READONLY"):
        client.command("INSERT INTO numbers VALUES (1, 'a')", settings={"readonly": 1})
    for n in range(20):
        client.command(f"INSERT INTO numbers VALUES ({n}, 'a')", settings={"max_threads": n % 2 + 1})
    assert client.command("SELECT count() FROM numbers") == 20


def test_the_database_does_not_leak(clickhouse_server: Server, client: Client, numbers: str) -> None:
    assert client.command("SELECT currentDatabase()") == client.database
    with clickhouse_server.client() as other:
        assert other.command("SELECT currentDatabase()") == "default"
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            other.query(f"SELECT * FROM {numbers}")


def test_a_session_keeps_what_it_sets(clickhouse_server: Server, client: Client) -> None:
    with clickhouse_server.client(session_id=str(uuid4()), database=client.database) as session:
        session.command("SET max_result_rows = 77")
        session.command("CREATE TEMPORARY TABLE mine (n UInt8)")
        session.command("INSERT INTO mine VALUES (7)")
        assert session.command("SELECT getSetting('max_result_rows')") == 77
        assert session.command("SELECT getSetting('max_result_rows')", settings={"max_result_rows": 5}) == 5
        assert session.command("SELECT getSetting('max_result_rows')") == 77
        assert session.command("SELECT n FROM mine") == 7
        assert client.command("SELECT getSetting('max_result_rows')") == 0
        with pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
            client.query("SELECT n FROM mine")


@pytest.mark.parametrize(
    ("sql", "code", "name"),
    [
        ("SELECT * FROM no_such_table", 60, "UNKNOWN_TABLE"),
        ("SELEKT 1", 62, "SYNTAX_ERROR"),
        ("SELECT no_such_function(1)", 46, "UNKNOWN_FUNCTION"),
        ("SELECT {missing:UInt8}", 456, "UNKNOWN_QUERY_PARAMETER"),
        ("SELECT throwIf(1, 'own text ü')", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ("INSERT INTO no_such_table VALUES (1)", 60, "UNKNOWN_TABLE"),
        ("DROP TABLE no_such_table", 60, "UNKNOWN_TABLE"),
    ],
)
def test_an_error_has_its_code(client: Client, sql: str, code: int, name: str) -> None:
    with pytest.raises(DatabaseError) as refused:
        client.command(sql)
    assert (refused.value.code, refused.value.name) == (code, name)


def test_a_large_result_streams(client: Client) -> None:
    started_s = time.perf_counter()
    with client.query_row_block_stream("SELECT number FROM numbers(20000000)") as blocks:
        first_s, rows = 0.0, 0
        for block in blocks:
            first_s = first_s or time.perf_counter() - started_s
            rows += len(block)
    assert rows == 20_000_000
    assert first_s < (time.perf_counter() - started_s) / 2


@pytest.mark.parametrize("compress", [False, "lz4"], ids="compress={}".format)
@pytest.mark.filterwarnings("ignore")
def test_a_failure_in_mid_stream_is_told(clickhouse_server: Server, compress: Any) -> None:
    sql = "SELECT throwIf(number = 3000000, 'boom') FROM numbers(5000000)"
    with clickhouse_server.client(compress=compress) as client:
        with pytest.raises(StreamFailureError, match="boom"), client.query_row_block_stream(sql) as blocks:
            list(blocks)
        assert client.command("SELECT 1") == 1


def test_a_limit_on_time_holds(client: Client) -> None:
    started_s = time.perf_counter()
    with pytest.raises(DatabaseError) as refused:
        client.query("SELECT sum(sin(number)) FROM numbers(100000000000)", settings={"max_execution_time": 1})
    assert refused.value.code == 159
    assert time.perf_counter() - started_s < 4


def test_a_query_of_seconds_is_waited_for(client: Client) -> None:
    assert client.command("SELECT sleep(1.5)") == 0


def test_several_clients_at_once(clickhouse_server: Server, client: Client, numbers: str) -> None:
    failures: list[BaseException] = []

    def work(worker: int) -> None:
        try:
            with clickhouse_server.client(database=client.database) as own:
                for turn in range(10):
                    own.insert(numbers, [[worker * 100 + turn, f"{worker}"]], column_names=["n", "s"])
                    limit = {"max_result_rows": worker + 1000}
                    assert own.command("SELECT getSetting('max_result_rows')", settings=limit) == worker + 1000
                    assert own.query("SELECT {n:UInt8}", parameters={"n": turn}).first_row == (turn,)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert client.query("SELECT count(), uniqExact(n), uniqExact(s) FROM numbers").first_row == (120, 120, 12)


def test_threads_share_a_client(clickhouse_server: Server) -> None:
    results: list[int] = []
    with clickhouse_server.client(autogenerate_session_id=False) as shared:
        threads = [
            threading.Thread(target=lambda n=n: results.append(shared.command(f"SELECT {n} + sleep(0.05)")))
            for n in range(16)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(results) == list(range(16))
