-- One row per line: its keys, then a value for each slot of the grid; NULL is a gap.
SELECT
    /*keys*/,
    main,
    /*low*/,
    /*high*/
FROM
(
/*folded*/
)
LIMIT {lines_max:UInt32}
SETTINGS optimize_aggregation_in_order = 1
FORMAT JSONCompact
