-- How runs of monitors went: what changed, and otherwise one run in ten minutes, of each monitor on each node.
--
-- Redis holds the last run of each; what it loses is read here, and a monitor's page tells what was before. `ok`, `failed`
-- and `in_a_row` count all runs of a version, so those that have no row are in them.
-- ORDER BY: a page asks for one monitor, its nodes' last rows or all of them by time; one that a token older than the window
-- let through twice is dropped by ReplacingMergeTree.
-- Retention is that of raw samples, set from METRIST_RAW_RETENTION_DAYS by `metrist migrate`.
-- Costs nothing on a full table: it is new, and begins empty.
CREATE TABLE IF NOT EXISTS monitor_runs
(
    -- whose
    account      UUID                     CODEC(ZSTD(1)),
    monitor      UUID                     CODEC(ZSTD(1)),
    node         LowCardinality(String)   CODEC(ZSTD(1)),
    -- when: as we were told, and as the run began by the node's clock
    ts           DateTime64(3, 'UTC')     CODEC(DoubleDelta, ZSTD(1)),
    at           DateTime64(3, 'UTC')     CODEC(DoubleDelta, ZSTD(1)),
    -- how it went
    version      UInt32                   CODEC(ZSTD(1)),
    state        LowCardinality(String)   CODEC(ZSTD(1)),
    message      String                   CODEC(ZSTD(1)),
    line         UInt32                   CODEC(ZSTD(1)),
    took_ms      Float32                  CODEC(ZSTD(1)),
    cpu_ms       Float32                  CODEC(ZSTD(1)),
    memory_bytes UInt64                   CODEC(ZSTD(1)),
    samples      UInt32                   CODEC(ZSTD(1)),
    statuses     String                   CODEC(ZSTD(1)),
    -- all runs of this version so far
    ok           UInt64                   CODEC(ZSTD(1)),
    failed       UInt64                   CODEC(ZSTD(1)),
    in_a_row     UInt64                   CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(ts)
ORDER BY (account, monitor, node, ts, at)
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    ttl_only_drop_parts = 1;
