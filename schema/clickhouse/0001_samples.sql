-- Single samples, as nodes reported them.
--
-- ORDER BY: an account's reads name a metric, then nodes, then labels, then a time range; columns that stay the same
-- over long runs cost nearly nothing on disk, and a series lies together. `labelset` is the canonical text of the
-- labels (`device="sda1",mount="/"`); `labels` unpacks it for analysts, so that labels['device'] just works.
-- value: most numbers that machines report have few decimals. They are kept as whole numbers and what to divide them by,
-- chosen per series and segment so that `scaled / divisor` is the very number that came, to the last bit; neighbours then
-- differ in a few low bits, which Delta and T64 pack. The others stay as they are in `unscaled`. Half the bytes of ALP on
-- Float64 alone, for a tenth more time to read one series (ADR 0009). Read `value`.
-- PARTITION BY week: retention drops whole weeks of parts, and a long back-fill touches few partitions.
-- non_replicated_deduplication_window: a segment that is inserted again under its token adds nothing (ADR 0004).
-- min_bytes_for_wide_part: a second's part is one file to write and sync, not one per column.
-- merge_selector_base: parts are merged ten at a time, not five: each sample is written again less often (0.2 us CPU a
-- sample less under load), for about a third more parts to read.
-- Retention is set from METRIST_RAW_RETENTION_DAYS by `metrist migrate`.
-- Costs nothing on a full table: it is the first migration.
CREATE TABLE IF NOT EXISTS samples
(
    -- series
    account  UUID                     CODEC(ZSTD(1)),
    metric   LowCardinality(String)   CODEC(ZSTD(1)),
    node     LowCardinality(String)   CODEC(ZSTD(1)),
    labelset LowCardinality(String)   CODEC(ZSTD(1)),
    -- sample
    ts       DateTime64(3, 'UTC')     CODEC(DoubleDelta, ZSTD(1)),
    scaled   Int64                    CODEC(Delta, T64('bit'), ZSTD(1)),
    divisor  UInt32                   CODEC(ZSTD(1)),
    unscaled Float64                  CODEC(ALP, ZSTD(1)),
    value    Float64                  ALIAS if(divisor = 0, unscaled, scaled / divisor),
    -- for analysts
    labels   Map(String, String)      ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"')
)
ENGINE = MergeTree
PARTITION BY toMonday(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS
    non_replicated_deduplication_window = 10000,
    min_bytes_for_wide_part = 134217728,
    merge_selector_base = 10,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    ttl_only_drop_parts = 1;
