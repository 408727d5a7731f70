-- Plans of replays: what each would change. The rows that it would put there are in tables of its own.
CREATE TABLE IF NOT EXISTS replay_plans (
    plan String,
    at DateTime64(3, 'UTC') DEFAULT now64(3),
    report String CODEC(ZSTD(1)) COMMENT 'JSON: selection, contracts, figures, samples'
)
ENGINE = MergeTree ORDER BY plan
COMMENT 'Plans of replays. sluice replay shows them.';

-- Each step of a run adds a line; the one with the greatest version counts.
CREATE TABLE IF NOT EXISTS replay_runs (
    run String,
    plan String,
    state LowCardinality(String) COMMENT 'running, cancelling, cancelled, failed, published or rolled_back',
    who String,
    why String,
    report String CODEC(ZSTD(1)) COMMENT 'JSON: days with counts and content hashes before and after',
    version UInt64,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (run, version)
COMMENT 'Journal of replays. sluice replay shows it.';

-- The outcome of a raw record by the run that looked at it again. What the streams said of it stays in `outcomes`.
CREATE TABLE IF NOT EXISTS restated_outcomes_log (
    arrival_day Date,
    generation UInt32,
    run LowCardinality(String),
    raw_partition UInt32 CODEC(Delta, ZSTD(1)),
    raw_offset UInt64 CODEC(Delta, ZSTD(1)),
    was LowCardinality(String) COMMENT 'Outcome before: curated, duplicate or dead_letter',
    outcome LowCardinality(String) COMMENT 'Outcome now: curated, duplicate, dead_letter or suppressed',
    reason LowCardinality(String) COMMENT 'Why it has no row; empty if it has one',
    fingerprint String
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (raw_partition, raw_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Superseding outcomes of all generations. Read the view `restated_outcomes`.';

CREATE VIEW IF NOT EXISTS restated_outcomes AS
SELECT * FROM restated_outcomes_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);
