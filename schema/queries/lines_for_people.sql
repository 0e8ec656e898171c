-- The same lines as rows, for whoever asks ClickHouse without us.
SELECT
    /*named*/,
    toDateTime({from_s:UInt32} + (slot - 1) * {step_s:UInt32}, 'UTC') AS ts,
    value,
    min,
    max
FROM
(
/*folded*/
)
ARRAY JOIN
    arrayEnumerate(main) AS slot,
    main AS value,
    low  AS min,
    high AS max
WHERE value IS NOT NULL
ORDER BY
    /*keys*/,
    ts
LIMIT {rows_max:UInt32}
SETTINGS optimize_aggregation_in_order = 1
