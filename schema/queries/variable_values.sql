-- Which values a label has among the series of some metrics that were seen lately; a series without it has none.
SELECT DISTINCT
    /*value*/ AS value
FROM
(
    SELECT
        node,
        labelset
    FROM series AS s
    WHERE account = {account:UUID}
      AND metric IN {metrics:Array(String)}
    GROUP BY
        node,
        metric,
        labelset
    HAVING max(s.last).1 >= toDateTime64({seen_since_s:UInt32}, 3, 'UTC')
)
WHERE value != ''
ORDER BY value
LIMIT {values_max:UInt32}
FORMAT JSONCompact
