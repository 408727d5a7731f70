-- What version 2 of the curated record adds. Rows from before have the defaults.
ALTER TABLE events_log
    ADD COLUMN IF NOT EXISTS stable_version UInt16
        COMMENT 'Version whose shape properties has; 0 if that is version itself',
    ADD COLUMN IF NOT EXISTS extra String CODEC(ZSTD(1))
        COMMENT 'JSON object of properties that the contract does not declare; empty if there are none';

-- A view keeps the list of columns it was made with.
CREATE OR REPLACE VIEW events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);

CREATE TABLE IF NOT EXISTS view_migrations (
    subject String,
    version UInt32 COMMENT 'Newest version of the contract that the views were made from',
    compiler UInt32 COMMENT 'Edition of the rules that made them',
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (subject, version, compiler, applied_at)
COMMENT 'Typed views made from contracts. Of each subject the greatest version and edition count, and the last of these.';
