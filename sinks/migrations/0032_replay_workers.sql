-- Who works on a plan or a run: a line every few seconds, the last one of each process with `done`.
CREATE TABLE IF NOT EXISTS replay_workers (
    name String COMMENT 'Of the plan or the run',
    worker String COMMENT 'Machine, process, its start, and a number of its own',
    who String,
    done UInt8,
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (name, worker, at)
TTL toDateTime(at) + INTERVAL 1 DAY
COMMENT 'Who makes a plan or carries one out now. Kept for a day.';
