CREATE TABLE ingest
(
    `account` UUID,
    `batch` String,
    `snapshots` Array(Tuple(
        node String,
        ts Float64,
        metrics Map(String, Float64)))
)
ENGINE = `Null`;

CREATE TABLE ingest_series
(
    `account` UUID,
    `metric` String,
    `node` String,
    `labelset` String,
    `ts` Array(DateTime64(3, 'UTC')),
    `value` Array(Float64)
)
ENGINE = `Null`;

CREATE MATERIALIZED VIEW ingest_view TO ingest_series
(
    `account` UUID,
    `metric` String,
    `node` String,
    `labelset` String,
    `ts` Array(DateTime64(3, 'UTC')),
    `value` Array(Float64)
)
AS SELECT
    account,
    if(brace = 0, key, substring(key, 1, brace - 1)) AS metric,
    node,
    if(brace = 0, '', substring(key, brace + 1, (length(key) - brace) - 1)) AS labelset,
    arraySort(times) AS ts,
    arraySort((v, t) -> t, `values`, times) AS value
FROM
(
    SELECT
        account,
        node,
        key,
        position(key, '{') AS brace,
        groupArray(sample_ts) AS times,
        groupArray(sample_value) AS `values`
    FROM
    (
        SELECT
            account,
            node,
            sample_ts,
            key,
            sample_value
        FROM
        (
            SELECT
                account,
                snapshot.node AS node,
                fromUnixTimestamp64Milli(toInt64(round(snapshot.ts * 1000)), 'UTC') AS sample_ts,
                mapKeys(snapshot.metrics) AS metric_keys,
                mapValues(snapshot.metrics) AS metric_values
            FROM ingest
            ARRAY JOIN snapshots AS snapshot
        )
        ARRAY JOIN
            metric_keys AS key,
            metric_values AS sample_value
    )
    GROUP BY
        account,
        node,
        key
)
ORDER BY
    account ASC,
    metric ASC,
    node ASC,
    labelset ASC;

CREATE TABLE monitor_runs
(
    `account` UUID CODEC(ZSTD(1)),
    `monitor` UUID CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    `at` DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    `version` UInt32 CODEC(ZSTD(1)),
    `state` LowCardinality(String) CODEC(ZSTD(1)),
    `message` String CODEC(ZSTD(1)),
    `line` UInt32 CODEC(ZSTD(1)),
    `took_ms` Float32 CODEC(ZSTD(1)),
    `cpu_ms` Float32 CODEC(ZSTD(1)),
    `memory_bytes` UInt64 CODEC(ZSTD(1)),
    `samples` UInt32 CODEC(ZSTD(1)),
    `statuses` String CODEC(ZSTD(1)),
    `ok` UInt64 CODEC(ZSTD(1)),
    `failed` UInt64 CODEC(ZSTD(1)),
    `in_a_row` UInt64 CODEC(ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toMonday(ts)
ORDER BY (account, monitor, node, ts, at)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, index_granularity = 8192;

CREATE TABLE node_events
(
    `account` UUID CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `node_id` UUID CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    `type` LowCardinality(String) CODEC(ZSTD(1)),
    `cause` String CODEC(ZSTD(1)),
    `agent_clock` Nullable(DateTime64(3, 'UTC')) CODEC(ZSTD(1)),
    `actor` LowCardinality(String) CODEC(ZSTD(1)),
    `payload` String CODEC(ZSTD(1)),
    `seq` UInt64 CODEC(DoubleDelta, ZSTD(1))
)
ENGINE = ReplacingMergeTree
PARTITION BY toYear(ts)
ORDER BY (account, node, ts, seq)
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, index_granularity = 8192;

CREATE TABLE node_events_copied
(
    `seq` SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY tuple()
SETTINGS non_replicated_deduplication_window = 1000, fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192;

CREATE MATERIALIZED VIEW node_events_view TO node_events_copied
(
    `seq` UInt64
)
AS SELECT max(seq) AS seq
FROM node_events;

CREATE TABLE samples
(
    `account` UUID CODEC(ZSTD(1)),
    `metric` LowCardinality(String) CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `labelset` LowCardinality(String) CODEC(ZSTD(1)),
    `ts` DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    `scaled` Int64 CODEC(Delta(8), T64('bit'), ZSTD(1)),
    `divisor` UInt32 CODEC(ZSTD(1)),
    `unscaled` Float64 CODEC(ALP, ZSTD(1)),
    `value` Float64 ALIAS if(divisor = 0, unscaled, scaled / divisor),
    `labels` Map(String, String) ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"')
)
ENGINE = MergeTree
PARTITION BY toMonday(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 134217728, merge_selector_base = 10, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, index_granularity = 8192, auto_statistics_types = '';

CREATE TABLE samples_1h
(
    `account` UUID CODEC(ZSTD(1)),
    `metric` LowCardinality(String) CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `labelset` LowCardinality(String) CODEC(ZSTD(1)),
    `ts` DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    `min` SimpleAggregateFunction(min, Float64) CODEC(ALP, ZSTD(1)),
    `max` SimpleAggregateFunction(max, Float64) CODEC(ALP, ZSTD(1)),
    `sum` SimpleAggregateFunction(sum, Float64) CODEC(ALP, ZSTD(1)),
    `count` SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    `last` SimpleAggregateFunction(max, Tuple(
        ts DateTime64(3, 'UTC'),
        value Float64)) CODEC(ZSTD(1)),
    `labels` Map(String, String) ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"'),
    `avg` Float64 ALIAS sum / count
)
ENGINE = AggregatingMergeTree
PARTITION BY toYear(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 134217728, merge_selector_base = 10, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, index_granularity = 8192, auto_statistics_types = '';

CREATE MATERIALIZED VIEW samples_1h_view TO samples_1h
(
    `account` UUID,
    `metric` String,
    `node` String,
    `labelset` String,
    `ts` DateTime('UTC'),
    `min` Float64,
    `max` Float64,
    `sum` Float64,
    `count` UInt64,
    `last` Tuple(
        DateTime64(3, 'UTC'),
        Float64)
)
AS SELECT
    account,
    metric,
    node,
    labelset,
    toStartOfHour(bucket_ts[1]) AS ts,
    arrayMin(bucket_values) AS min,
    arrayMax(bucket_values) AS max,
    arraySum(bucket_values) AS sum,
    length(bucket_values) AS count,
    (bucket_ts[-1], bucket_values[-1]) AS last
FROM
(
    SELECT
        account,
        metric,
        node,
        labelset,
        arrayDifference(arrayMap(t -> toUInt32(toStartOfHour(t)), g.ts)) AS steps,
        arraySplit((t, step) -> (step != 0), g.ts, steps) AS split_ts,
        arraySplit((v, step) -> (step != 0), g.value, steps) AS split_values
    FROM ingest_series AS g
)
ARRAY JOIN
    split_ts AS bucket_ts,
    split_values AS bucket_values;

CREATE TABLE samples_1m
(
    `account` UUID CODEC(ZSTD(1)),
    `metric` LowCardinality(String) CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `labelset` LowCardinality(String) CODEC(ZSTD(1)),
    `ts` DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    `min` SimpleAggregateFunction(min, Float64) CODEC(ALP, ZSTD(1)),
    `max` SimpleAggregateFunction(max, Float64) CODEC(ALP, ZSTD(1)),
    `sum` SimpleAggregateFunction(sum, Float64) CODEC(ALP, ZSTD(1)),
    `count` SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    `last` SimpleAggregateFunction(max, Tuple(
        ts DateTime64(3, 'UTC'),
        value Float64)) CODEC(ZSTD(1)),
    `labels` Map(String, String) ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"'),
    `avg` Float64 ALIAS sum / count
)
ENGINE = AggregatingMergeTree
PARTITION BY toYYYYMM(ts)
ORDER BY (account, metric, node, labelset, ts)
SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 134217728, merge_selector_base = 10, fsync_after_insert = 1, fsync_part_directory = 1, ttl_only_drop_parts = 1, index_granularity = 8192, auto_statistics_types = '';

CREATE MATERIALIZED VIEW samples_1m_view TO samples_1m
(
    `account` UUID,
    `metric` String,
    `node` String,
    `labelset` String,
    `ts` DateTime('UTC'),
    `min` Float64,
    `max` Float64,
    `sum` Float64,
    `count` UInt64,
    `last` Tuple(
        DateTime64(3, 'UTC'),
        Float64)
)
AS SELECT
    account,
    metric,
    node,
    labelset,
    toStartOfMinute(bucket_ts[1]) AS ts,
    arrayMin(bucket_values) AS min,
    arrayMax(bucket_values) AS max,
    arraySum(bucket_values) AS sum,
    length(bucket_values) AS count,
    (bucket_ts[-1], bucket_values[-1]) AS last
FROM
(
    SELECT
        account,
        metric,
        node,
        labelset,
        arrayDifference(arrayMap(t -> toUInt32(toStartOfMinute(t)), g.ts)) AS steps,
        arraySplit((t, step) -> (step != 0), g.ts, steps) AS split_ts,
        arraySplit((v, step) -> (step != 0), g.value, steps) AS split_values
    FROM ingest_series AS g
)
ARRAY JOIN
    split_ts AS bucket_ts,
    split_values AS bucket_values;

CREATE MATERIALIZED VIEW samples_view TO samples
(
    `account` UUID,
    `metric` String,
    `node` String,
    `labelset` String,
    `ts` DateTime64(3, 'UTC'),
    `scaled` Int64,
    `divisor` UInt32,
    `unscaled` Float64
)
AS SELECT
    account,
    metric,
    node,
    labelset,
    sample_ts AS ts,
    toInt64(round(if(divisor = 0, 0., sample_value * divisor))) AS scaled,
    divisor,
    if(divisor = 0, sample_value, 0.) AS unscaled
FROM
(
    SELECT
        account,
        metric,
        node,
        labelset,
        ts,
        value,
        multiIf(arrayAll(v -> ((abs(v) < 9007199254740992) AND (reinterpretAsUInt64(round(v) + 0.) = reinterpretAsUInt64(v))), g.value), 1, arrayAll(v -> ((abs(v) < 900719925474099) AND (reinterpretAsUInt64((round(v * 10) / 10) + 0.) = reinterpretAsUInt64(v))), g.value), 10, arrayAll(v -> ((abs(v) < 90071992547409) AND (reinterpretAsUInt64((round(v * 100) / 100) + 0.) = reinterpretAsUInt64(v))), g.value), 100, arrayAll(v -> ((abs(v) < 9007199254740) AND (reinterpretAsUInt64((round(v * 1000) / 1000) + 0.) = reinterpretAsUInt64(v))), g.value), 1000, arrayAll(v -> ((abs(v) < 900719925474) AND (reinterpretAsUInt64((round(v * 10000) / 10000) + 0.) = reinterpretAsUInt64(v))), g.value), 10000, arrayAll(v -> ((abs(v) < 9007199254) AND (reinterpretAsUInt64((round(v * 1000000) / 1000000) + 0.) = reinterpretAsUInt64(v))), g.value), 1000000, 0) AS divisor
    FROM ingest_series AS g
)
ARRAY JOIN
    ts AS sample_ts,
    value AS sample_value;

CREATE TABLE series
(
    `account` UUID CODEC(ZSTD(1)),
    `node` LowCardinality(String) CODEC(ZSTD(1)),
    `metric` LowCardinality(String) CODEC(ZSTD(1)),
    `labelset` LowCardinality(String) CODEC(ZSTD(1)),
    `first_ts` SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    `last` SimpleAggregateFunction(max, Tuple(
        ts DateTime64(3, 'UTC'),
        value Float64)),
    `labels` Map(String, String) ALIAS extractKeyValuePairsWithEscaping(labelset, '=', ',', '"')
)
ENGINE = AggregatingMergeTree
ORDER BY (account, node, metric, labelset)
SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, index_granularity = 8192, auto_statistics_types = '';

CREATE MATERIALIZED VIEW series_view TO series
(
    `account` UUID,
    `node` String,
    `metric` String,
    `labelset` String,
    `first_ts` DateTime64(3, 'UTC'),
    `last` Tuple(
        DateTime64(3, 'UTC'),
        Float64)
)
AS SELECT
    account,
    node,
    metric,
    labelset,
    g.ts[1] AS first_ts,
    (g.ts[-1], g.value[-1]) AS last
FROM ingest_series AS g;
