-- What each of our tables is made of just now: a row a table with parts, rows, bytes, merges that run, and the parts of
-- the partition that has most of them. ClickHouse delays inserts when that last one nears parts_to_delay_insert.
SELECT
    stored.table         AS table,
    sum(stored.parts)    AS parts,
    sum(stored.rows)     AS rows,
    sum(stored.bytes)    AS bytes,
    any(merging.merges)  AS merges,
    max(stored.parts)    AS parts_of_partition
FROM
(
    SELECT
        table,
        partition_id,
        count()            AS parts,
        sum(rows)          AS rows,
        sum(bytes_on_disk) AS bytes
    FROM system.parts
    WHERE database = currentDatabase() AND active
    GROUP BY
        table,
        partition_id
) AS stored
LEFT JOIN
(
    SELECT
        table,
        count() AS merges
    FROM system.merges
    WHERE database = currentDatabase()
    GROUP BY table
) AS merging ON merging.table = stored.table
GROUP BY table
ORDER BY table
