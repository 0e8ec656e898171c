-- Every hour of an account in which a rollup is not what the raw samples say. One row:
--   how many hours there were, how many samples, and the hours that differ (a hundred at most).
-- Parts of the metrics are asked for one after another, so that each question is short. Sums are of floats, which add up
-- differently in another order: they may differ by a billionth of the sum of magnitudes.
WITH
    intDiv(cityHash64(metric) % 4096, {width:UInt32}) = {part:UInt32} AS is_here,
    ts >= toDateTime({from_s:UInt32}, 'UTC') AND ts < toDateTime({to_s:UInt32}, 'UTC') AS is_then
SELECT
    count(),
    sum(raw_count),
    groupArrayIf(100)(
        (toUnixTimestamp(hour), raw_count, minute_count, hour_count, minute_differs, hour_differs),
        minute_differs OR hour_differs
    )
FROM
(
    SELECT
        hour,
        sumIf(samples, tier = 0)                          AS raw_count,
        sumIf(samples, tier = 1)                          AS minute_count,
        sumIf(samples, tier = 2)                          AS hour_count,
        sumIf(total, tier = 0)                            AS raw_total,
        sumIf(size, tier = 0) * 1e-9 + 1e-300             AS tolerance,
        minute_count != raw_count
            OR abs(sumIf(total, tier = 1) - raw_total) > tolerance
            OR minIf(least_value, tier = 1) != minIf(least_value, tier = 0)
            OR maxIf(most_value, tier = 1) != maxIf(most_value, tier = 0) AS minute_differs,
        hour_count != raw_count
            OR abs(sumIf(total, tier = 2) - raw_total) > tolerance
            OR minIf(least_value, tier = 2) != minIf(least_value, tier = 0)
            OR maxIf(most_value, tier = 2) != maxIf(most_value, tier = 0) AS hour_differs
    FROM
    (
        SELECT
            0                             AS tier,
            toStartOfHour(toDateTime(ts, 'UTC')) AS hour,
            count()                       AS samples,
            sum(value)                    AS total,
            sum(abs(value))               AS size,
            min(value)                    AS least_value,
            max(value)                    AS most_value
        FROM samples
        WHERE account = {account:UUID} AND is_then AND is_here
        GROUP BY hour

        UNION ALL

        SELECT
            1                   AS tier,
            toStartOfHour(ts)   AS hour,
            sum(rolled.count)   AS samples,
            sum(rolled.sum)     AS total,
            0                   AS size,
            min(rolled.min)     AS least_value,
            max(rolled.max)     AS most_value
        FROM samples_1m AS rolled
        WHERE account = {account:UUID} AND is_then AND is_here
        GROUP BY hour

        UNION ALL

        SELECT
            2                   AS tier,
            toStartOfHour(ts)   AS hour,
            sum(rolled.count)   AS samples,
            sum(rolled.sum)     AS total,
            0                   AS size,
            min(rolled.min)     AS least_value,
            max(rolled.max)     AS most_value
        FROM samples_1h AS rolled
        WHERE account = {account:UUID} AND is_then AND is_here
        GROUP BY hour
    )
    GROUP BY hour
)
