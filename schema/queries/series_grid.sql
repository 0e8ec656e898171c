-- One row per series with a value for each slot of the window's grid; NaN is an empty one, which JSON says as null.
-- `low` and `high` are empty when they would say the same as `main`: a sample a bucket, as in every close look.
SELECT
    metric,
    node,
    labelset,
    groupArrayInsertAt(nan, {slots:UInt32})(main_value, slot)                               AS main,
    if(is_flat, [], groupArrayInsertAt(nan, {slots:UInt32})(min_value, slot))               AS low,
    if(is_flat, [], groupArrayInsertAt(nan, {slots:UInt32})(max_value, slot))               AS high,
    countIf(NOT (min_value = main_value AND max_value = main_value)) = 0                    AS is_flat
FROM
(
    SELECT
        metric,
        node,
        labelset,
        toUInt32(intDiv(toUInt32(bucket) - {from_s:UInt32}, {step_s:UInt32})) AS slot,
        main_value,
        min_value,
        max_value
    FROM
    (
/*buckets*/
    )
)
GROUP BY
    metric,
    node,
    labelset
LIMIT {series_max:UInt32}
FORMAT JSONCompact
