-- The log of nodes, copied from the control DB for analysts: who was late, offline or away when the samples have a gap.
--
-- The control DB stays the truth, and pages read it there. Rows come in batches under a token (`metrist worker`, job
-- copy_events), so each event is here once; ReplacingMergeTree drops what a token older than the window let through.
-- ORDER BY: an account's node in the order of time; `seq`, the place in the control DB's log, makes a row one event.
-- `payload` is the event's own JSON; the log of people, keys and accounts is not copied, for it holds addresses.
-- Retention is that of the hour rollup, set from METRIST_HOUR_RETENTION_DAYS by `metrist migrate`.
-- Costs nothing on a full table: it is new, and is filled from the start of the log.
CREATE TABLE IF NOT EXISTS node_events
(
    -- whose
    account     UUID                             CODEC(ZSTD(1)),
    node        LowCardinality(String)           CODEC(ZSTD(1)),
    node_id     UUID                             CODEC(ZSTD(1)),
    -- what
    ts          DateTime64(3, 'UTC')             CODEC(DoubleDelta, ZSTD(1)),
    type        LowCardinality(String)           CODEC(ZSTD(1)),
    cause       String                           CODEC(ZSTD(1)),
    agent_clock Nullable(DateTime64(3, 'UTC'))   CODEC(ZSTD(1)),
    actor       LowCardinality(String)           CODEC(ZSTD(1)),
    payload     String                           CODEC(ZSTD(1)),
    -- bookkeeping
    seq         UInt64                           CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(ts)
ORDER BY (account, node, ts, seq)
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    ttl_only_drop_parts = 1;

-- How far the log is copied. A table of its own, so that erasing an account's rows does not bring them back.
CREATE TABLE IF NOT EXISTS node_events_copied
(
    seq SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY tuple()
SETTINGS
    non_replicated_deduplication_window = 1000,
    fsync_after_insert = 1,
    fsync_part_directory = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS node_events_view TO node_events_copied AS
SELECT max(seq) AS seq
FROM node_events;
