-- Buckets of each series from single samples. The comments in the text are replaced from closed sets.
SELECT
    node,
    labelset,
    /*slot*/   AS slot,
    /*main*/   AS main,
    min(value) AS low,
    max(value) AS high
FROM samples AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime64({from_s:UInt32}, 3, 'UTC')
  AND r.ts <  toDateTime64({to_s:UInt32}, 3, 'UTC')
GROUP BY
    node,
    labelset,
    slot
