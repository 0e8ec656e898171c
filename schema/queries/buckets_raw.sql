-- Buckets of each series from single samples. The comments in the text are replaced from closed sets.
SELECT
    metric,
    node,
    labelset,
    intDiv(toUnixTimestamp(ts), {step_s:UInt32}) * {step_s:UInt32} AS bucket,
    /*main*/                                                       AS main_value,
    min(value)                                                     AS min_value,
    max(value)                                                     AS max_value
FROM samples
WHERE account = {account:UUID}
  AND /*metrics*/
  AND /*nodes*/
  AND /*labels*/
  AND ts >= toDateTime64({from_s:UInt32}, 3, 'UTC')
  AND ts <  toDateTime64({to_s:UInt32}, 3, 'UTC')
GROUP BY
    metric,
    node,
    labelset,
    bucket
ORDER BY bucket
