-- Every series of an account, or of some nodes, with its latest value.
SELECT
    metric,
    node,
    labelset,
    toUnixTimestamp64Milli(max(s.last).1) / 1000 AS last_ts,
    max(s.last).2                                 AS last_value
FROM series AS s
WHERE account = {account:UUID}
  AND /*metrics*/
  AND /*nodes*/
GROUP BY
    metric,
    node,
    labelset
HAVING max(s.last).1 >= toDateTime64({seen_since_s:UInt32}, 3, 'UTC')
ORDER BY
    metric,
    node,
    labelset
LIMIT {series_max:UInt32}
FORMAT JSONCompact
