-- Buckets of each series from a rollup. The comments in the text are replaced from closed sets.
SELECT
    metric,
    node,
    labelset,
    intDiv(toUnixTimestamp(r.ts), {step_s:UInt32}) * {step_s:UInt32} AS bucket,
    /*main*/                                                         AS main_value,
    min(r.min)                                                       AS min_value,
    max(r.max)                                                       AS max_value
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND /*metrics*/
  AND /*nodes*/
  AND /*labels*/
  AND r.ts >= toDateTime({from_s:UInt32}, 'UTC')
  AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
GROUP BY
    metric,
    node,
    labelset,
    bucket
ORDER BY bucket
