-- One row per series with its buckets as arrays, in the order of time.
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
    SELECT *
    FROM
    (
/*buckets*/
    )
    ORDER BY
        metric,
        node,
        labelset,
        bucket
)
GROUP BY
    metric,
    node,
    labelset
ORDER BY
    metric,
    node,
    labelset
LIMIT {series_max:UInt32}
FORMAT JSONCompact
