-- The base table. One row a valid, first-seen event; columns by name as in schemas/avro/event.
-- A day is the unit of truth: its rows live in partitions (arrival_day, generation). Live inserts write generation 0;
-- a restatement writes the whole day anew as a later generation, hidden until `generations` says otherwise.
CREATE TABLE IF NOT EXISTS events_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    raw_partition UInt32 COMMENT 'Partition of the raw record',
    raw_offset UInt64 COMMENT 'Offset of the raw record',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the raw record was appended to the log',
    received_at DateTime64(3, 'UTC') COMMENT 'When the collector received it',
    occurred_at DateTime64(3, 'UTC') COMMENT 'When it happened',
    tenant LowCardinality(String) COMMENT 'Tenant',
    event LowCardinality(String) COMMENT 'Contract it was validated against',
    version UInt16 COMMENT 'Version of that contract',
    event_type LowCardinality(String) COMMENT 'page_view, custom_event or identity',
    name LowCardinality(String) COMMENT 'Name of a custom event',
    event_id String COMMENT 'Idempotency key within the tenant',
    visitor_id String COMMENT 'Visitor',
    session_id String COMMENT 'Session',
    user_id String COMMENT 'Known user, or empty',
    url String COMMENT 'Address of the page or request',
    referrer String COMMENT 'Address the visitor came from',
    consent_state LowCardinality(String) COMMENT 'Consent when it happened',
    source LowCardinality(String) COMMENT 'Door it came through',
    properties String CODEC(ZSTD(1)) COMMENT 'JSON object of the event''s own properties',
    context String CODEC(ZSTD(1)) COMMENT 'JSON object of shared contexts',
    -- Parts of the addresses, taken out here because the engine does it for a tenth of what Python would cost.
    path String DEFAULT if(startsWith(url, '/'), cutQueryStringAndFragment(url), path(url)) COMMENT 'Path of url',
    referrer_host LowCardinality(String) DEFAULT domain(referrer) COMMENT 'Host of referrer',
    utm_source LowCardinality(String) DEFAULT decodeURLFormComponent(extractURLParameter(url, 'utm_source')),
    utm_medium LowCardinality(String) DEFAULT decodeURLFormComponent(extractURLParameter(url, 'utm_medium')),
    utm_campaign LowCardinality(String) DEFAULT decodeURLFormComponent(extractURLParameter(url, 'utm_campaign')),
    INDEX occurred_at_range occurred_at TYPE minmax GRANULARITY 1
)
ENGINE = MergeTree
PARTITION BY (arrival_day, generation)
ORDER BY (tenant, event, toDate(occurred_at), visitor_id, occurred_at)
-- Deduplication tokens of the last blocks. More than a sink can have in doubt: one per partition of the topic.
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Events of all generations. Read the view `events`.';

-- Which generations readers see. A day without a row here is visible: live rows need no entry.
CREATE TABLE IF NOT EXISTS generations (
    arrival_day Date,
    generation UInt32,
    visible UInt8,
    version UInt64 COMMENT 'The row with the greatest version counts',
    run String COMMENT 'What wrote it: a replay, an erasure, a rebuild',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (arrival_day, generation, version)
COMMENT 'Visibility of generations: one insert flips days, base and rollups at once.';

CREATE VIEW IF NOT EXISTS hidden_generations AS
SELECT arrival_day, generation FROM generations
GROUP BY arrival_day, generation HAVING argMax(visible, version) = 0;

CREATE VIEW IF NOT EXISTS events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);

-- Where rows came from. A topic that was recreated starts at offset 0 again: its rows must not be taken for these.
CREATE TABLE IF NOT EXISTS sources (
    topic String,
    topic_id String,
    cluster_id String,
    first_seen DateTime DEFAULT now()
)
ENGINE = MergeTree ORDER BY (topic, first_seen)
COMMENT 'Kafka topics that filled this database.';
