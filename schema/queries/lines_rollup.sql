-- Buckets of each series from a rollup. The comments in the text are replaced from closed sets.
SELECT
    node,
    labelset,
    /*slot*/   AS slot,
    /*main*/   AS main,
    min(r.min) AS low,
    max(r.max) AS high
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime({from_s:UInt32}, 'UTC')
  AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
GROUP BY
    node,
    labelset,
    slot
