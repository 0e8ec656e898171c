-- Which series there are: one row per series, for a node's page, name search and the latest values.
--
-- ORDER BY account, node first: the page of a node asks for all of its series. A series that was last seen before the
-- longest retention has no samples left anywhere; reads pass it over.
CREATE TABLE IF NOT EXISTS series
(
    -- series
    account  UUID                                                CODEC(ZSTD(1)),
    node     LowCardinality(String)                              CODEC(ZSTD(1)),
    metric   LowCardinality(String)                              CODEC(ZSTD(1)),
    labelset LowCardinality(String)                              CODEC(ZSTD(1)),
    -- bookkeeping
    first_ts SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    last     SimpleAggregateFunction(max, Tuple(ts DateTime64(3, 'UTC'), value Float64)),
    -- for analysts
    labels   Map(String, String)                                 ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"')
)
ENGINE = AggregatingMergeTree
ORDER BY (account, node, metric, labelset)
SETTINGS
    fsync_after_insert = 1,
    fsync_part_directory = 1;
