-- Buckets of each series from a rollup, a value for each slot of the grid: see lines_raw.sql.
SELECT
    node,
    labelset,
    /*main*/ AS main,
    minOrNullResample(0, {slots:UInt32}, 1)(r.min, /*slot*/) AS low,
    maxOrNullResample(0, {slots:UInt32}, 1)(r.max, /*slot*/) AS high
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime({from_s:UInt32}, 'UTC')
  AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
GROUP BY
    node,
    labelset
