-- The values of a label that hold a text, with the number of series of each.
SELECT
    /*value*/            AS value,
    uniq(node, labelset) AS series
FROM series
WHERE account = {account:UUID}
  AND /*metric*/
  AND value != ''
  AND positionCaseInsensitiveUTF8(value, {search:String}) > 0
GROUP BY value
ORDER BY
    startsWith(lower(value), lower({search:String})) DESC,
    value
LIMIT {most:UInt32}
FORMAT JSONCompact
