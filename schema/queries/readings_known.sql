-- The series that conditions may miss: when each was last heard, of those that were within a while.
SELECT
    metric,
    node,
    labelset,
    [toUnixTimestamp64Milli(max(s.last).1) / 1000] AS last_s
FROM series AS s
WHERE account = {account:UUID}
  AND metric IN {metrics:Array(String)}
  AND /*nodes*/
GROUP BY
    metric,
    node,
    labelset
HAVING max(s.last).1 >= toDateTime64({since_s:UInt32}, 3, 'UTC')
LIMIT {series_max:UInt32}
FORMAT JSONCompact
