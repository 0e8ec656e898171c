-- How many series of an account had a sample of late. A row more until parts are merged is counted once.
SELECT uniqExact(node, metric, labelset)
FROM series
WHERE account = {account:UUID}
  AND last.1 >= toDateTime64({seen_since_s:UInt32}, 3, 'UTC')
FORMAT JSONCompact
