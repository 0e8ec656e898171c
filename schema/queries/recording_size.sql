-- How many samples of some metrics a node has in a window, as long as single ones are kept; one of several, by UNION ALL.
SELECT {number_0:UInt32}, count()
FROM samples
WHERE account = {account:UUID}
  AND metric IN {metrics_0:Array(String)}
  AND node = {node_0:String}
  AND ts >= toDateTime64({from_ms_0:Int64} / 1000, 3, 'UTC')
  AND ts < toDateTime64({to_ms_0:Int64} / 1000, 3, 'UTC')
