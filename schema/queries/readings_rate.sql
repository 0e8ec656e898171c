-- How much each series of a metric grew over one window, a second, for conditions.
SELECT
    {metric:String},
    node,
    labelset,
    main
FROM
(
/*buckets*/
)
WHERE isNotNull(main[1])
LIMIT {series_max:UInt32}
FORMAT JSONCompact
