-- Series put together into lines, slot by slot. The comments in the text are replaced from closed sets.
SELECT
    /*keyed*/,
    /*across*/ AS main,
    minOrNullForEach(series_buckets.low)  AS low,
    maxOrNullForEach(series_buckets.high) AS high
FROM
(
/*buckets*/
) AS series_buckets
GROUP BY
    /*keys*/
