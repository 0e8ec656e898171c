"""Samples into ClickHouse: one tokened INSERT per spool segment."""

from schema.clickhouse_client import ClickHouse

_ONE_BLOCK_ROWS = 10_000_000
_ONE_BLOCK_BYTES = 4_000_000_000

INSERT_SETTINGS: dict[str, str | int] = {
    # A segment is one block, so that its token names all of it.
    "max_insert_block_size": _ONE_BLOCK_ROWS,
    "min_insert_block_size_rows": _ONE_BLOCK_ROWS,
    "min_insert_block_size_bytes": _ONE_BLOCK_BYTES,
    "max_insert_threads": 1,
    # The four views of a segment are written side by side: a fifth less time for the same CPU.
    "parallel_view_processing": 1,
    # Parsed by one thread: two segments are inserted side by side, and handing pieces from thread to thread costs CPU.
    "input_format_parallel_parsing": 0,
    # The views give each key once a block, so merging a block's rows before it is written finds nothing to merge.
    "optimize_on_insert": 0,
    "insert_deduplicate": 1,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "materialized_views_ignore_errors": 0,
    "async_insert": 0,
    # A back-fill may reach over years of weekly partitions.
    "max_partitions_per_insert_block": 0,
    # The value that is read is the value that was sent, to the last bit.
    "precise_float_parsing": 1,
    "wait_end_of_query": 1,
}


def insert(clickhouse: ClickHouse, body: bytes, token: str) -> None:
    """Store a segment's lines; the same token again adds nothing, in no table.

    body    JSON lines of table `ingest`
    token   the segment's name
    Raises StoreUnavailable (try again), DatabaseError (ClickHouse refuses).
    """
    clickhouse.raw_insert(
        "ingest", body, fmt="JSONEachRow", settings={**INSERT_SETTINGS, "insert_deduplication_token": token}
    )
