-- Each series' values over one window, for conditions. The comments in the text are replaced from closed sets.
SELECT
    metric,
    node,
    labelset,
    /*values*/
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND metric IN {metrics:Array(String)}
  AND /*nodes*/
  AND r.ts >= toDateTime64({from_s:UInt32}, 3, 'UTC')
  AND r.ts <  toDateTime64({to_s:UInt32}, 3, 'UTC')
GROUP BY
    metric,
    node,
    labelset
LIMIT {series_max:UInt32}
FORMAT JSONCompact
