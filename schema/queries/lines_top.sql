-- The lines with the largest values over the whole window: it is one single slot here.
SELECT
    /*keys*/
FROM
(
/*folded*/
)
ORDER BY
    main[1] DESC,
    /*keys*/
LIMIT {top:UInt32}
