-- The series of a metric folded into one, bucket by bucket.
SELECT
    metric,
    ''                   AS node,
    ''                   AS labelset,
    bucket,
    /*across*/(main_value) AS main_value,
    min(min_value)       AS min_value,
    max(max_value)       AS max_value
FROM
(
/*buckets*/
)
GROUP BY
    metric,
    bucket
ORDER BY bucket
