-- The labels that the series of a metric have, with how many values each takes.
SELECT
    label,
    uniq(value) AS values
FROM
(
SELECT DISTINCT
    labelset,
    arrayJoin(extractKeyValuePairsWithEscaping(toString(labelset), '=', ',', '"')) AS pair,
    pair.1 AS label,
    pair.2 AS value
FROM series
WHERE account = {account:UUID}
  AND /*metric*/
)
GROUP BY label
ORDER BY label
LIMIT {most:UInt32}
FORMAT JSONCompact
