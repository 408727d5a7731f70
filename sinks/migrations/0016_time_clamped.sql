-- Times of clients that could not be believed. Rows from before have the default: nobody told.
ALTER TABLE events_log
    ADD COLUMN IF NOT EXISTS time_clamped LowCardinality(String) COMMENT 'Which way the client''s time could not be believed, so that occurred_at is received_at: future or past; empty if it could';

-- A view keeps the list of columns it was made with.
CREATE OR REPLACE VIEW events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);
