-- How much each series grew in each bucket, a second. The comments in the text are replaced from closed sets.
--
-- A counter that falls began anew at zero. A stored bucket's largest value tells of a fall within it: up to that value
-- the counter grew, then from zero to its last one. So a rollup gives what its samples do, unless a counter fell twice
-- within one of its buckets, or grew past where it fell from. What came shortly before the window is read too.
SELECT
    node,
    labelset,
    arrayMap((gained, lasted_s) -> if(lasted_s > 0, gained / lasted_s, NULL),
        sumOrNullResample(0, {slots:UInt32}, 1)(steps.gain, /*slot*/),
        sumOrNullResample(0, {slots:UInt32}, 1)(steps.elapsed_s, /*slot*/)) AS main,
    main AS low,
    main AS high
FROM
(
SELECT
    node,
    labelset,
    pair.1                                                          AS here,
    pair.2                                                          AS before,
    toUnixTimestamp64Milli(here.1) / 1000                           AS at_s,
    at_s - toUnixTimestamp64Milli(before.1) / 1000                  AS elapsed_s,
    multiIf(
        here.3 > here.2,    greatest(here.3 - before.2, 0) + here.2,
        here.2 >= before.2, here.2 - before.2,
        here.2)                                                     AS gain
FROM
(
SELECT
    node,
    labelset,
    arraySort(groupArray(/*point*/)) AS points,
    arrayJoin(arrayZip(arrayPopFront(points), arrayPopBack(points))) AS pair
FROM /*table*/ AS r
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
  AND r.ts >= toDateTime({before_s:UInt32}, 'UTC')
  AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
GROUP BY
    node,
    labelset
)
WHERE at_s >= {from_s:UInt32}
) AS steps
GROUP BY
    node,
    labelset
