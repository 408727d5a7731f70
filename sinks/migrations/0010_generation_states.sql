-- What became of a generation and which run made it: see sinks/generations. Entries are only added; of each generation
-- the one with the greatest version counts.
ALTER TABLE generations
    ADD COLUMN IF NOT EXISTS live Bool DEFAULT false COMMENT 'Live rows of the day go to its greatest live generation',
    ADD COLUMN IF NOT EXISTS state LowCardinality(String)
        COMMENT 'live, hidden, published, superseded, restored, rolled_back, dropped or pruned';

-- Which run holds a day, and how far it is. Of each day and run the entry with the greatest version counts.
CREATE TABLE IF NOT EXISTS generation_claims (
    arrival_day Date,
    run String,
    state LowCardinality(String)
        COMMENT 'staging, staged, publishing, published, rolling_back, rolled_back, pruning, pruned or dropped',
    generation UInt32 COMMENT 'Generation that the run makes of the day',
    replaces Array(UInt32) COMMENT 'Generations of the day that publishing it hides',
    rows UInt64 COMMENT 'Rows of the base when it was verified',
    why String COMMENT 'Reason that the run was given',
    version UInt64 COMMENT 'No entry here or in generations that came before has a greater one',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (arrival_day, run, version)
COMMENT 'Runs that restate days. A day is held by one at a time.';

-- Rows that a run restates and that it carries over are in one generation; this tells them apart.
ALTER TABLE events_log
    ADD COLUMN IF NOT EXISTS run LowCardinality(String) COMMENT 'Run that restated the row; empty if it came live';

-- A view keeps the list of columns it was made with.
CREATE OR REPLACE VIEW events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);

-- Rows that a run leaves out when it carries a day over, because it puts others in their place or none.
CREATE TABLE IF NOT EXISTS replaced_rows (
    arrival_day Date,
    generation UInt32,
    raw_partition UInt32,
    raw_offset UInt64
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (raw_partition, raw_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Scratch of runs under way: emptied when the generation is published or dropped.';
