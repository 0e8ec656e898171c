-- The last run of each node that is kept, of some monitors.
SELECT
    toString(monitor), node, toUnixTimestamp64Milli(ts), toFloat64(at), version, state, message, line, took_ms, cpu_ms,
    memory_bytes, samples, statuses, ok, failed, in_a_row
FROM monitor_runs
WHERE account = {account:UUID}
  AND monitor IN {monitors:Array(UUID)}
ORDER BY monitor, node, ts DESC, at DESC
LIMIT 1 BY monitor, node
FORMAT JSONCompact
