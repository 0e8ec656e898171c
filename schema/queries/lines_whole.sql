-- Each series over the whole window as a single slot: who is on top. Plain aggregates cost 0.7 of those for each slot.
-- The comments in the text are replaced from closed sets.
SELECT
    node,
    labelset,
    [/*main*/] AS main,
    [/*low*/]  AS low,
    [/*high*/] AS high
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime({from_s:UInt32}, 'UTC')
  AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
GROUP BY
    node,
    labelset
