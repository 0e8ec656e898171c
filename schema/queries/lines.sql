-- One row per line: its keys, then its values at each slot of the grid; NaN is a gap, which JSON says as null.
SELECT
    /*keys*/,
    groupArrayInsertAt(nan, {slots:UInt32})(lines.main, lines.slot) AS mains,
    groupArrayInsertAt(nan, {slots:UInt32})(lines.low, lines.slot)  AS lows,
    groupArrayInsertAt(nan, {slots:UInt32})(lines.high, lines.slot) AS highs
FROM
(
/*folded*/
) AS lines
GROUP BY
    /*keys*/
LIMIT {lines_max:UInt32}
FORMAT JSONCompact
