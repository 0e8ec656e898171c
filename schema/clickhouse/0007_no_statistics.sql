-- No statistics of columns: since 26.x every merge makes them for all columns of a table that does not say otherwise.
--
-- Our questions find their rows by the primary key and have no joins to put in order, so nothing reads them; making
-- them took a twentieth of the engine's CPU under ingest.
-- Costs nothing on a full table: parts that have statistics lose them at their next merge.
ALTER TABLE samples MODIFY SETTING auto_statistics_types = '';
ALTER TABLE samples_1m MODIFY SETTING auto_statistics_types = '';
ALTER TABLE samples_1h MODIFY SETTING auto_statistics_types = '';
ALTER TABLE series MODIFY SETTING auto_statistics_types = '';
