-- What happened to a monitor, the newest first; of one node when it is named.
SELECT
    toString(monitor), node, toUnixTimestamp64Milli(ts), toFloat64(at), version, state, message, line, took_ms, cpu_ms,
    memory_bytes, samples, statuses, ok, failed, in_a_row
FROM monitor_runs
WHERE account = {account:UUID}
  AND monitor = {monitor:UUID}
  AND ({node:String} = '' OR node = {node:String})
  AND ts < fromUnixTimestamp64Milli({before_ms:Int64}, 'UTC')
ORDER BY ts DESC, node, at DESC
LIMIT {most:UInt32}
FORMAT JSONCompact
