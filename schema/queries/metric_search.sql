-- Metrics whose name holds every word; those that begin with the first of them come first.
SELECT
    metric,
    uniq(node, labelset)                               AS series,
    uniq(node)                                         AS nodes,
    toUnixTimestamp64Milli(max(s.last).1) / 1000       AS last_s
FROM series AS s
WHERE account = {account:UUID}
  AND arrayAll(word -> positionCaseInsensitiveUTF8(metric, word) > 0, {words:Array(String)})
GROUP BY metric
ORDER BY
    lower(metric) = lower({words:Array(String)}[1])          DESC,
    startsWith(lower(metric), lower({words:Array(String)}[1])) DESC,
    metric
LIMIT {most:UInt32}
FORMAT JSONCompact
