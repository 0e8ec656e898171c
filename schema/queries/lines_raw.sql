-- Buckets of each series from single samples, a value for each slot of the grid: grouping by series alone goes in the
-- order of the table, and costs a fifth of grouping by series and bucket. The comments are replaced from closed sets.
SELECT
    node,
    labelset,
    /*main*/ AS main,
    minOrNullResample(0, {slots:UInt32}, 1)(value, /*slot*/) AS low,
    maxOrNullResample(0, {slots:UInt32}, 1)(value, /*slot*/) AS high
FROM samples AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime64({from_s:UInt32}, 3, 'UTC')
  AND r.ts <  toDateTime64({to_s:UInt32}, 3, 'UTC')
GROUP BY
    node,
    labelset
