-- The same series at one minute and one hour: what every graph of more than a few hours reads.
--
-- Each bucket [ts, ts + step) holds what can be merged exactly: min, max, sum, count and the last sample as (time,
-- value), whose maximum is the latest; half the size of an argMax state. Averages are sum / count. Read by the node's page and GET /api/v1/series.
-- Grid: toStartOfMinute and toStartOfHour in UTC, the grid of domain/series.py.
-- Retention is set from METRIST_MINUTE_RETENTION_DAYS and METRIST_HOUR_RETENTION_DAYS by `metrist migrate`.
CREATE TABLE IF NOT EXISTS samples_1m
(
    -- series
    account  UUID                                                CODEC(ZSTD(1)),
    metric   LowCardinality(String)                              CODEC(ZSTD(1)),
    node     LowCardinality(String)                              CODEC(ZSTD(1)),
    labelset LowCardinality(String)                              CODEC(ZSTD(1)),
    -- bucket
    ts       DateTime('UTC')                                     CODEC(DoubleDelta, ZSTD(1)),
    min      SimpleAggregateFunction(min, Float64)               CODEC(ALP, ZSTD(1)),
    max      SimpleAggregateFunction(max, Float64)               CODEC(ALP, ZSTD(1)),
    sum      SimpleAggregateFunction(sum, Float64)               CODEC(ALP, ZSTD(1)),
    count    SimpleAggregateFunction(sum, UInt64)                CODEC(T64, ZSTD(1)),
    last     SimpleAggregateFunction(max, Tuple(ts DateTime64(3, 'UTC'), value Float64)) CODEC(ZSTD(1)),
    -- for analysts
    labels   Map(String, String)                                 ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"'),
    avg      Float64                                             ALIAS sum / count
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS
    non_replicated_deduplication_window = 10000,
    min_bytes_for_wide_part = 134217728,
    merge_selector_base = 10,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    ttl_only_drop_parts = 1;

CREATE TABLE IF NOT EXISTS samples_1h
(
    -- series
    account  UUID                                                CODEC(ZSTD(1)),
    metric   LowCardinality(String)                              CODEC(ZSTD(1)),
    node     LowCardinality(String)                              CODEC(ZSTD(1)),
    labelset LowCardinality(String)                              CODEC(ZSTD(1)),
    -- bucket
    ts       DateTime('UTC')                                     CODEC(DoubleDelta, ZSTD(1)),
    min      SimpleAggregateFunction(min, Float64)               CODEC(ALP, ZSTD(1)),
    max      SimpleAggregateFunction(max, Float64)               CODEC(ALP, ZSTD(1)),
    sum      SimpleAggregateFunction(sum, Float64)               CODEC(ALP, ZSTD(1)),
    count    SimpleAggregateFunction(sum, UInt64)                CODEC(T64, ZSTD(1)),
    last     SimpleAggregateFunction(max, Tuple(ts DateTime64(3, 'UTC'), value Float64)) CODEC(ZSTD(1)),
    -- for analysts
    labels   Map(String, String)                                 ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"'),
    avg      Float64                                             ALIAS sum / count
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS
    non_replicated_deduplication_window = 10000,
    min_bytes_for_wide_part = 134217728,
    merge_selector_base = 10,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    ttl_only_drop_parts = 1;
