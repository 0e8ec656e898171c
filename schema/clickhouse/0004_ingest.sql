-- The way in: one INSERT of a spool segment into `ingest` fills samples, both rollups and the list of series.
--
-- `ingest` stores nothing (engine Null): ClickHouse parses the JSON lines, the views do the rest in the same INSERT.
-- `ingest_series`, likewise Null, is the one grouping that everything is made from: a row per series, its samples as
-- arrays in the order of time, rows in the tables' own order. So raw samples arrive sorted, and a rollup is an array
-- split where its bucket changes: all of it costs 0.30 us CPU a sample, with a GROUP BY per rollup over single samples
-- more than twice that (ADR 0004).
-- Tokens: each table behind a view drops a block whose token it knows, on its own; no table is fed from another.
CREATE TABLE IF NOT EXISTS ingest
(
    account   UUID,
    batch     String,
    snapshots Array(Tuple(node String, ts Float64, metrics Map(String, Float64)))
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS ingest_series
(
    account  UUID,
    metric   String,
    node     String,
    labelset String,
    ts       Array(DateTime64(3, 'UTC')),
    value    Array(Float64)
)
ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_view TO samples AS
SELECT
    account,
    metric,
    node,
    labelset,
    sample_ts                                                           AS ts,
    toInt64(round(if(divisor = 0, 0., sample_value * divisor)))         AS scaled,
    divisor,
    if(divisor = 0, sample_value, 0.)                                   AS unscaled
FROM
(
    -- The least divisor that gives every value of the series back, bit for bit; 0 for none (`+ 0.` keeps -0.0 apart).
    SELECT
        account,
        metric,
        node,
        labelset,
        ts,
        value,
        multiIf(
            arrayAll(v -> abs(v) < 9007199254740992 AND reinterpretAsUInt64(round(v)           + 0.)           = reinterpretAsUInt64(v), g.value), 1,
            arrayAll(v -> abs(v) < 900719925474099  AND reinterpretAsUInt64(round(v * 10)      / 10      + 0.) = reinterpretAsUInt64(v), g.value), 10,
            arrayAll(v -> abs(v) < 90071992547409   AND reinterpretAsUInt64(round(v * 100)     / 100     + 0.) = reinterpretAsUInt64(v), g.value), 100,
            arrayAll(v -> abs(v) < 9007199254740    AND reinterpretAsUInt64(round(v * 1000)    / 1000    + 0.) = reinterpretAsUInt64(v), g.value), 1000,
            arrayAll(v -> abs(v) < 900719925474     AND reinterpretAsUInt64(round(v * 10000)   / 10000   + 0.) = reinterpretAsUInt64(v), g.value), 10000,
            arrayAll(v -> abs(v) < 9007199254       AND reinterpretAsUInt64(round(v * 1000000) / 1000000 + 0.) = reinterpretAsUInt64(v), g.value), 1000000,
            0
        ) AS divisor
    FROM ingest_series AS g
)
ARRAY JOIN
    ts    AS sample_ts,
    value AS sample_value;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1m_view TO samples_1m AS
SELECT
    account,
    metric,
    node,
    labelset,
    toStartOfMinute(bucket_ts[1])      AS ts,
    arrayMin(bucket_values)           AS min,
    arrayMax(bucket_values)           AS max,
    arraySum(bucket_values)           AS sum,
    length(bucket_values)             AS count,
    (bucket_ts[-1], bucket_values[-1]) AS last
FROM
(
    SELECT
        account,
        metric,
        node,
        labelset,
        arrayDifference(arrayMap(t -> toUInt32(toStartOfMinute(t)), g.ts)) AS steps,
        arraySplit((t, step) -> step != 0, g.ts, steps)                       AS split_ts,
        arraySplit((v, step) -> step != 0, g.value, steps)                    AS split_values
    FROM ingest_series AS g
)
ARRAY JOIN
    split_ts     AS bucket_ts,
    split_values AS bucket_values;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_view TO samples_1h AS
SELECT
    account,
    metric,
    node,
    labelset,
    toStartOfHour(bucket_ts[1])      AS ts,
    arrayMin(bucket_values)           AS min,
    arrayMax(bucket_values)           AS max,
    arraySum(bucket_values)           AS sum,
    length(bucket_values)             AS count,
    (bucket_ts[-1], bucket_values[-1]) AS last
FROM
(
    SELECT
        account,
        metric,
        node,
        labelset,
        arrayDifference(arrayMap(t -> toUInt32(toStartOfHour(t)), g.ts)) AS steps,
        arraySplit((t, step) -> step != 0, g.ts, steps)                       AS split_ts,
        arraySplit((v, step) -> step != 0, g.value, steps)                    AS split_values
    FROM ingest_series AS g
)
ARRAY JOIN
    split_ts     AS bucket_ts,
    split_values AS bucket_values;

CREATE MATERIALIZED VIEW IF NOT EXISTS series_view TO series AS
SELECT
    account,
    node,
    metric,
    labelset,
    g.ts[1]               AS first_ts,
    (g.ts[-1], g.value[-1]) AS last
FROM ingest_series AS g;

-- Last, so that nothing flows before every table behind it is there.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_view TO ingest_series AS
SELECT
    account,
    if(brace = 0, key, substring(key, 1, brace - 1))                      AS metric,
    node,
    if(brace = 0, '', substring(key, brace + 1, length(key) - brace - 1)) AS labelset,
    arraySort(times)                                                      AS ts,
    arraySort((v, t) -> t, values, times)                                 AS value
FROM
(
    SELECT
        account,
        node,
        key,
        position(key, '{')       AS brace,
        groupArray(sample_ts)    AS times,
        groupArray(sample_value) AS values
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
                snapshot.node                                                        AS node,
                fromUnixTimestamp64Milli(toInt64(round(snapshot.ts * 1000)), 'UTC') AS sample_ts,
                mapKeys(snapshot.metrics)                                            AS metric_keys,
                mapValues(snapshot.metrics)                                          AS metric_values
            FROM ingest
            ARRAY JOIN snapshots AS snapshot
        )
        ARRAY JOIN
            metric_keys   AS key,
            metric_values AS sample_value
    )
    GROUP BY
        account,
        node,
        key
)
ORDER BY
    account,
    metric,
    node,
    labelset;
