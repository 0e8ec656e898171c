-- How many lines and how many series a query has: of the series that had a sample in the window, or before and after it.
SELECT
    uniqExact(/*keys*/),
    count()
FROM
(
SELECT
    node,
    labelset,
    /*keyed*/
FROM series AS s
WHERE account = {account:UUID}
  AND metric = {metric:String}
  AND /*matching*/
GROUP BY
    node,
    labelset
HAVING max(s.last).1 >= toDateTime64({from_s:UInt32}, 3, 'UTC')
   AND min(s.first_ts) < toDateTime64({to_s:UInt32}, 3, 'UTC')
)
FORMAT JSONCompact
