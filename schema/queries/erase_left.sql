-- One row when something is left to erase. The comments in the text are replaced from closed sets.
SELECT 1
FROM /*table*/
WHERE /*rows*/
LIMIT 1
