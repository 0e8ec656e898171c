-- One value a minute of each node for a few metrics: what the list of nodes shows as figures.
--
-- A series without labels is the node's own total, and then the others are its parts; without such a total the parts
-- are put together as the metric asks: averaged, summed, or the largest of them.
SELECT
    node,
    metric,
    groupArray(minute) AS minutes,
    groupArray(value)  AS values
FROM
(
    SELECT
        node,
        metric,
        intDiv(toUnixTimestamp(bucket) - {from_s:UInt32}, 60) AS minute,
        multiIf(
            countIf(labelset = '') > 0,      avgIf(average, labelset = ''),
            metric IN {averaged:Array(String)}, avg(average),
            metric IN {summed:Array(String)},   sum(average),
            max(average))                                     AS value
    FROM
    (
        SELECT
            node,
            metric,
            labelset,
            r.ts                      AS bucket,
            sum(r.sum) / sum(r.count) AS average
        FROM samples_1m AS r
        WHERE account = {account:UUID}
          AND metric IN {metrics:Array(String)}
          AND /*nodes*/
          AND r.ts >= toDateTime({from_s:UInt32}, 'UTC')
          AND r.ts <  toDateTime({to_s:UInt32}, 'UTC')
        GROUP BY
            node,
            metric,
            labelset,
            bucket
    )
    GROUP BY
        node,
        metric,
        minute
    ORDER BY minute
)
GROUP BY
    node,
    metric
FORMAT JSONCompact
