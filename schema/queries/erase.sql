-- Drop what is to be erased, from the disk too. The comments in the text are replaced from closed sets.
-- A lightweight DELETE would only hide the rows until some later merge, which for an old part never comes.
ALTER TABLE /*table*/
DELETE WHERE /*rows*/
