-- The way in: one INSERT of a spool segment into `ingest` fills samples, both rollups and the list of series.
--
-- `ingest` stores nothing (engine Null): ClickHouse parses the JSON lines, the views do the rest in the same INSERT.
-- `ingest_minutes`, likewise Null, is the one grouping that everything else is read from: a row per series and
-- minute with the samples as arrays, so that raw samples are unpacked and rollups copied without grouping again
-- (half the cost of a GROUP BY per rollup over single samples; ADR 0004 has the figures).
-- Tokens: every table behind the views drops a block whose token it knows, each on its own.
CREATE TABLE IF NOT EXISTS ingest
(
    account   UUID,
    batch     String,
    snapshots Array(Tuple(node String, ts Float64, metrics Map(String, Float64)))
)
ENGINE = Null;

CREATE TABLE IF NOT EXISTS ingest_minutes
(
    account  UUID,
    metric   String,
    node     String,
    labelset String,
    minute   DateTime('UTC'),
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
    sample_ts    AS ts,
    sample_value AS value
FROM ingest_minutes
ARRAY JOIN
    ts    AS sample_ts,
    value AS sample_value;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1m_view TO samples_1m AS
SELECT
    account,
    metric,
    node,
    labelset,
    minute                                   AS ts,
    arrayMin(value)                          AS min,
    arrayMax(value)                          AS max,
    arraySum(value)                          AS sum,
    length(value)                            AS count,
    arrayReduce('argMaxState', value, m.ts)  AS last,
    arrayMax(m.ts)                           AS last_ts
FROM ingest_minutes AS m;

CREATE MATERIALIZED VIEW IF NOT EXISTS samples_1h_view TO samples_1h AS
SELECT
    account,
    metric,
    node,
    labelset,
    toStartOfHour(m.ts)     AS ts,
    min(m.min)              AS min,
    max(m.max)              AS max,
    sum(m.sum)              AS sum,
    sum(m.count)            AS count,
    argMaxMergeState(m.last) AS last,
    max(m.last_ts)          AS last_ts
FROM samples_1m AS m
GROUP BY
    account,
    metric,
    node,
    labelset,
    ts;

CREATE MATERIALIZED VIEW IF NOT EXISTS series_view TO series AS
SELECT
    account,
    node,
    metric,
    labelset,
    h.ts      AS first_ts,
    h.last    AS last,
    h.last_ts AS last_ts
FROM samples_1h AS h;

-- Last, so that nothing flows before every table behind it is there.
CREATE MATERIALIZED VIEW IF NOT EXISTS ingest_view TO ingest_minutes AS
SELECT
    account,
    if(brace = 0, key, substring(key, 1, brace - 1))                           AS metric,
    node,
    if(brace = 0, '', substring(key, brace + 1, length(key) - brace - 1))      AS labelset,
    minute,
    groupArray(sample_ts)                                                      AS ts,
    groupArray(sample_value)                                                   AS value
FROM
(
    SELECT
        account,
        snapshot.1                                                AS node,
        fromUnixTimestamp64Milli(toInt64(round(snapshot.2 * 1000)), 'UTC') AS sample_ts,
        toStartOfMinute(sample_ts)                                AS minute,
        metric_value.1                                            AS key,
        metric_value.2                                            AS sample_value,
        position(key, '{')                                        AS brace
    FROM
    (
        SELECT
            account,
            snapshot,
            arrayJoin(CAST(snapshot.3, 'Array(Tuple(String, Float64))')) AS metric_value
        FROM
        (
            SELECT
                account,
                arrayJoin(snapshots) AS snapshot
            FROM ingest
        )
    )
)
GROUP BY
    account,
    key,
    brace,
    node,
    minute;
