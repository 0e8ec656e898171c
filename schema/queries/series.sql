-- One row per series with its buckets as arrays, in the order of time (the buckets come sorted).
SELECT
    metric,
    node,
    labelset,
    groupArray(toUInt32(bucket)) AS ts,
    groupArray(main_value)       AS main,
    groupArray(min_value)        AS min,
    groupArray(max_value)        AS max
FROM
(
/*buckets*/
)
GROUP BY
    metric,
    node,
    labelset
LIMIT {series_max:UInt32}
FORMAT JSONCompact
