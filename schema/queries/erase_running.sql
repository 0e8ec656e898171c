-- One row when an erasure of this account's rows is under way in a table.
SELECT 1
FROM system.mutations
WHERE database = currentDatabase()
  AND table = {table:String}
  AND position(command, {account:String}) > 0
  AND NOT is_done
  AND NOT is_killed
LIMIT 1
