-- The same lines as rows, for whoever asks ClickHouse without us.
SELECT
    /*keys*/,
    toDateTime({from_s:UInt32} + slot * {step_s:UInt32}, 'UTC') AS ts,
    main                                                        AS value,
    low                                                         AS min,
    high                                                        AS max
FROM
(
/*folded*/
)
ORDER BY
    /*keys*/,
    ts
LIMIT {rows_max:UInt32}
