-- Series put together into lines, slot by slot. The comments in the text are replaced from closed sets.
SELECT
    /*keyed*/,
    buckets.slot      AS slot,
    /*across*/ AS main,
    min(buckets.low)  AS low,
    max(buckets.high) AS high
FROM
(
/*buckets*/
) AS buckets
GROUP BY
    /*keys*/,
    slot
