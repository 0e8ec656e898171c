-- Bytes free and in all on the disk that the next part of `samples` goes to: of its policy's disks the freest.
-- What merges have reserved counts as taken. An object store tells a number without end, and is never short.
SELECT
    toInt64(least(max(unreserved_space), 9223372036854775807)) AS free_bytes,
    toInt64(least(argMax(total_space, unreserved_space), 9223372036854775807)) AS total_bytes
FROM system.disks
WHERE has(
    (
        SELECT groupUniqArrayArray(disks)
        FROM system.storage_policies
        WHERE policy_name IN
        (
            SELECT storage_policy
            FROM system.tables
            WHERE database = currentDatabase() AND name = 'samples'
        )
    ),
    name
)
HAVING count() > 0
