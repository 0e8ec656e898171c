"""What goes into the engine through clickhouse-connect; a real ClickHouse must pass the same tests."""

import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Any
from uuid import UUID

import lz4.frame
import pyarrow
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from tests.clickhouse_server import Server

AT = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC).replace(tzinfo=None)
"""A time in UTC; clickhouse-connect gives those without their zone."""
EVERY_TYPE = {
    "Bool": True,
    "UInt8": 255,
    "Int64": -(2**63),
    "UInt256": 2**256 - 1,
    "Float64": 0.1,
    "Decimal(18, 4)": Decimal("12345.6789"),
    "String": "naïve 测试 🚀 \x00 ' \\ \n\t",
    "FixedString(3)": b"abc",
    "LowCardinality(String)": "node-1",
    "LowCardinality(Nullable(String))": None,
    "Nullable(Int8)": None,
    "Date": date(2026, 1, 31),
    "DateTime('UTC')": AT,
    "DateTime64(3, 'UTC')": AT.replace(microsecond=123_000),
    "UUID": UUID("00112233-4455-6677-8899-aabbccddeeff"),
    "IPv4": IPv4Address("10.0.0.1"),
    "Enum8('ok' = 1, 'firing' = 2)": "firing",
    "Array(UInt32)": [1, 2, 3],
    "Array(Nullable(String))": ["a", None],
    "Map(String, Float64)": {"cpu.user": 1.5, "cpu.system": 2.5},
    "Map(LowCardinality(String), LowCardinality(String))": {"device": "sda"},
    "Tuple(String, Float64)": ("mem", 3.5),
    "Array(Tuple(String, Map(String, UInt8)))": [("a", {"b": 1}), ("c", {})],
}


@pytest.fixture
def client(clickhouse_server: Server, clickhouse_database: str) -> Iterator[Client]:
    with clickhouse_server.client(database=clickhouse_database) as client:
        yield client


@pytest.fixture
def numbers(client: Client) -> str:
    client.command("CREATE TABLE numbers (n UInt64, s String DEFAULT 'none') ENGINE = MergeTree ORDER BY n")
    return "numbers"


@pytest.mark.parametrize(("column_type", "value"), EVERY_TYPE.items(), ids=EVERY_TYPE)
def test_a_value_comes_back_as_it_went(client: Client, column_type: str, value: Any) -> None:
    client.command(f"CREATE TABLE t (id UInt8, value {column_type}) ENGINE = MergeTree ORDER BY id")
    summary = client.insert("t", [[1, value], [2, value]], column_names=["id", "value"])
    assert summary.written_rows == 2
    assert client.query("SELECT id, value FROM t ORDER BY id").result_rows == [(1, value), (2, value)]


@pytest.mark.parametrize(
    ("compression", "pack"),
    [
        (None, bytes),
        ("gzip", gzip.compress),
        ("lz4", lz4.frame.compress),
        ("zstd", zstandard.ZstdCompressor().compress),
    ],
    ids=["plain", "gzip", "lz4", "zstd"],
)
@pytest.mark.parametrize("as_stream", [False, True], ids=["whole", "in parts"])
def test_raw_insert(client: Client, numbers: str, compression: Any, pack: Any, as_stream: bool) -> None:
    packed = pack(b"".join(b'{"n":%d,"s":"\xd0\xb6 %d"}\n' % (n, n) for n in range(20_000)))
    block = (packed[at : at + 1000] for at in range(0, len(packed), 1000)) if as_stream else packed
    client.raw_insert(numbers, ["n", "s"], insert_block=block, fmt="JSONEachRow", compression=compression)
    assert client.query("SELECT count(), sum(n), max(s) FROM numbers").first_row == (20_000, 199_990_000, "ж 9999")


def test_arrow_both_ways(client: Client, numbers: str) -> None:
    table = pyarrow.table({"n": pyarrow.array(range(100_000), pyarrow.uint64()), "s": ["x"] * 100_000})
    client.insert_arrow(numbers, table)
    back = client.query_arrow("SELECT n, s FROM numbers ORDER BY n", use_strings=True)
    assert back.equals(table.cast(back.schema))


def test_a_left_out_column_gets_its_default(client: Client, numbers: str) -> None:
    client.command("INSERT INTO numbers (n) VALUES", data="(1), (2)")
    client.command("INSERT INTO numbers VALUES (3, 'semi;colon'), ({four:UInt64}, 'bound');", parameters={"four": 4})
    rows = client.query("SELECT n, s FROM numbers ORDER BY n").result_rows
    assert rows == [(1, "none"), (2, "none"), (3, "semi;colon"), (4, "bound")]


@pytest.mark.parametrize("times_sent", [1, 2, 3], ids="sent {}×".format)
def test_an_insert_with_a_token_counts_once(client: Client, times_sent: int) -> None:
    window = "SETTINGS non_replicated_deduplication_window = 100"
    client.command(f"CREATE TABLE raw (n UInt64) ENGINE = MergeTree ORDER BY n {window}")
    client.command(f"CREATE TABLE sums (n UInt64) ENGINE = SummingMergeTree ORDER BY tuple() {window}")
    client.command("CREATE MATERIALIZED VIEW to_sums TO sums AS SELECT sum(n) AS n FROM raw")
    settings = {
        "insert_deduplication_token": "segment-1",
        "deduplicate_insert_select": "force_enable",
        "deduplicate_blocks_in_dependent_materialized_views": 1,
    }
    sql = "INSERT INTO raw SELECT arrayJoin(ns) FROM input('ns Array(UInt64)') FORMAT JSONEachRow"
    for _ in range(times_sent):
        client.command(sql, data='{"ns": [1, 2, 3]}\n{"ns": []}\n{"ns": [4]}\n', settings=settings)
    assert client.command("SELECT count() FROM raw") == 4
    assert client.command("SELECT sum(n) FROM sums") == 10


def test_bad_data_names_its_row_and_inserts_nothing(client: Client, numbers: str) -> None:
    with pytest.raises(DatabaseError, match="row 2") as refused:
        client.raw_insert(numbers, insert_block='{"n":1}\n{"n":"two"}\n', fmt="JSONEachRow")
    assert "/fd/" not in str(refused.value)
    assert client.command("SELECT count() FROM numbers") == 0
