-- Where a row's record stood in the topic that the sink read. An insert in doubt is proven by counting these.
ALTER TABLE events_log
    ADD COLUMN IF NOT EXISTS kafka_partition UInt32 COMMENT 'Partition of the curated record',
    ADD COLUMN IF NOT EXISTS kafka_offset UInt64 COMMENT 'Offset of the curated record';

-- A view keeps the list of columns it was made with.
CREATE OR REPLACE VIEW events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);

-- A day is restated by layer: events with their rollups, what the streams said of raw records, raw records, and what
-- is written about the system itself. One insert may flip several layers at once.
ALTER TABLE generations
    ADD COLUMN IF NOT EXISTS layer LowCardinality(String) DEFAULT 'events' COMMENT 'events, outcomes, raw or system';

CREATE OR REPLACE VIEW hidden_generations AS
SELECT arrival_day, generation FROM generations WHERE layer = 'events'
GROUP BY arrival_day, generation HAVING argMax(visible, version) = 0;

CREATE VIEW IF NOT EXISTS hidden_outcome_generations AS
SELECT arrival_day, generation FROM generations WHERE layer = 'outcomes'
GROUP BY arrival_day, generation HAVING argMax(visible, version) = 0;

CREATE VIEW IF NOT EXISTS hidden_raw_generations AS
SELECT arrival_day, generation FROM generations WHERE layer = 'raw'
GROUP BY arrival_day, generation HAVING argMax(visible, version) = 0;

CREATE VIEW IF NOT EXISTS hidden_system_generations AS
SELECT arrival_day, generation FROM generations WHERE layer = 'system'
GROUP BY arrival_day, generation HAVING argMax(visible, version) = 0;

-- Raw records byte for byte, for replay beyond what Kafka keeps. Restricted: it holds what clients sent, and no view
-- for analysts may read it.
CREATE TABLE IF NOT EXISTS raw_archive_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    lane LowCardinality(String) COMMENT 'Topic it lay on: live or historic',
    raw_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the raw record',
    raw_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the raw record',
    arrival_at DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)) COMMENT 'When it was appended to the log',
    key Nullable(String) CODEC(ZSTD(3)) COMMENT 'Key of the raw record',
    value Nullable(String) CODEC(ZSTD(3)) COMMENT 'Value of the raw record: the framed envelope'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (lane, raw_partition, raw_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Restricted. Raw records of all generations. Replay reads the view `raw_archive`.';

CREATE VIEW IF NOT EXISTS raw_archive AS
SELECT * FROM raw_archive_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_raw_generations);

CREATE TABLE IF NOT EXISTS dead_letters_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    raw_partition Int32 COMMENT 'Partition of the raw record',
    raw_offset Int64 COMMENT 'Offset of the raw record',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the raw record was appended to the log',
    tenant LowCardinality(String) COMMENT 'Tenant; empty where the envelope could not be read',
    event LowCardinality(String) COMMENT 'Contract the event named',
    version UInt16 COMMENT 'Version it was judged by; 0 where none applies',
    code LowCardinality(String) COMMENT 'Machine-readable reason: that of the first fault',
    faults Array(Tuple(code LowCardinality(String), path String, expected String, got String)) CODEC(ZSTD(1))
        COMMENT 'All faults found',
    fingerprint String CODEC(ZSTD(1)) COMMENT 'Same cause, same fingerprint',
    traceparent String CODEC(ZSTD(1)) COMMENT 'W3C trace context',
    raw String CODEC(ZSTD(3)) COMMENT 'Value of the raw record',
    kafka_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the dead letter',
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the dead letter'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation)
ORDER BY (tenant, code, fingerprint, raw_partition, raw_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Dead letters of all generations. Read the view `dead_letters`.';

-- Without the bytes, which are whatever a client sent.
CREATE VIEW IF NOT EXISTS dead_letters AS
SELECT * EXCEPT (raw) FROM dead_letters_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_outcome_generations);

CREATE VIEW IF NOT EXISTS dead_letters_pii AS
SELECT * FROM dead_letters_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_outcome_generations);

-- The dedupe ids of an outcome record are left out: who needs them reads the topic, or hashes the ids of `events`.
CREATE TABLE IF NOT EXISTS outcomes_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the last raw record of the batch was appended to the log',
    raw_partition UInt32 COMMENT 'Partition of the raw records',
    first UInt64 COMMENT 'First raw offset of the batch',
    last UInt64 COMMENT 'Last raw offset of the batch',
    runs Array(Tuple(outcome LowCardinality(String), first UInt64, count UInt32)) CODEC(ZSTD(1))
        COMMENT 'Runs of equal outcomes, in offset order',
    contracts Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)) COMMENT 'Records judged by each contract',
    firsts Array(UInt64) CODEC(ZSTD(1))
        COMMENT 'For each duplicate how many raw offsets before it its first is; empty where that is not known',
    kafka_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the outcome record',
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the outcome record'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (raw_partition, first)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Outcome records of all generations. Read the view `outcomes`.';

CREATE VIEW IF NOT EXISTS outcomes AS
SELECT * FROM outcomes_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_outcome_generations);

CREATE TABLE IF NOT EXISTS audit_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the record was appended to the log',
    id String COMMENT 'One that occurs twice was written twice',
    at DateTime64(3, 'UTC') COMMENT 'When it was done',
    action LowCardinality(String) COMMENT 'What was done',
    actor String COMMENT 'Who says to have done it',
    tenant LowCardinality(String) COMMENT 'Tenant that it concerns; empty if all',
    subject String COMMENT 'What it was done to',
    network String COMMENT 'Network that the request came from',
    detail Map(LowCardinality(String), String) CODEC(ZSTD(1)) COMMENT 'What else is worth knowing',
    kafka_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the record',
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the record'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (at, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Restricted. Who did what. Read the view `audit`.';

CREATE VIEW IF NOT EXISTS audit AS
SELECT * FROM audit_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_system_generations);

CREATE TABLE IF NOT EXISTS abuse_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the record was appended to the log',
    id String COMMENT 'One that occurs twice was written twice',
    since DateTime64(3, 'UTC') COMMENT 'Begin of the interval',
    until DateTime64(3, 'UTC') COMMENT 'End of the interval, not included',
    collector LowCardinality(String) COMMENT 'Process that counted',
    tenant LowCardinality(String) COMMENT 'Tenant of the key; empty if the key is not known',
    key_id LowCardinality(String) COMMENT 'Id of the key',
    network String COMMENT 'Network of the clients; empty for the sum of those that are not listed',
    reason LowCardinality(String) COMMENT 'Why they were refused',
    requests UInt64 COMMENT 'How many requests',
    kafka_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the record',
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the record'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, reason, since)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Restricted. Requests that collectors refused. Read the view `abuse`.';

CREATE VIEW IF NOT EXISTS abuse AS
SELECT * FROM abuse_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_system_generations);
