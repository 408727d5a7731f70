-- What collectors understood and did not store: what is told in the topic `drops`.
CREATE TABLE IF NOT EXISTS drops_log (
    arrival_day Date DEFAULT toDate(arrival_at) COMMENT 'UTC day of arrival_at; with generation the partition',
    generation UInt32 DEFAULT 0 COMMENT 'Restatement the row belongs to; 0 is live',
    arrival_at DateTime64(3, 'UTC') COMMENT 'When the record was appended to the log',
    collector LowCardinality(String) COMMENT 'Process that counted',
    epoch String COMMENT 'Life of that process',
    sequence UInt64 COMMENT 'Place in the epoch, from 0; of two records with one the later counts',
    since DateTime64(3, 'UTC') COMMENT 'Begin of the interval',
    until DateTime64(3, 'UTC') COMMENT 'End of the interval, not included',
    closing Bool COMMENT 'Whether the process ended in order with this record, which lists everything',
    total UInt64 COMMENT 'Events dropped since the epoch began',
    drops Array(Tuple(tenant LowCardinality(String), event LowCardinality(String), reason LowCardinality(String),
                      events UInt64, total UInt64)) CODEC(ZSTD(1))
        COMMENT 'What changed in the interval: events in it, and total since the epoch began',
    kafka_partition UInt32 CODEC(Delta, ZSTD(1)) COMMENT 'Partition of the record',
    kafka_offset UInt64 CODEC(Delta, ZSTD(1)) COMMENT 'Offset of the record'
)
ENGINE = MergeTree PARTITION BY (arrival_day, generation) ORDER BY (epoch, sequence, kafka_partition, kafka_offset)
SETTINGS non_replicated_deduplication_window = 10000, min_free_disk_bytes_to_perform_insert = 268435456
COMMENT 'Restricted. What collectors dropped, as they tell it. Read the views `drops` and `drop_epochs`.';

-- By interval. A record that was not acknowledged is told again, with later counts and the same sequence.
CREATE VIEW IF NOT EXISTS drops AS
SELECT collector, epoch, sequence, since, until, drop.tenant AS tenant, drop.event AS event, drop.reason AS reason,
       drop.events AS events
FROM (
    SELECT * FROM drops_log
    WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_system_generations)
    ORDER BY epoch, sequence, until DESC LIMIT 1 BY epoch, sequence
)
ARRAY JOIN drops AS drop
WHERE drop.events > 0;

-- By epoch: whether its records are all there and say as much together as its total does.
CREATE VIEW IF NOT EXISTS drop_epochs AS
SELECT collector, epoch, min(since) AS began_at, max(until) AS counted_to, max(closing) AS closed, count() AS records,
       max(sequence) + 1 - count() AS missing, sum(listed) AS events, max(total) AS dropped, dropped - events AS lost
FROM (
    SELECT collector, epoch, sequence, since, until, closing, total, arraySum(drops.events) AS listed FROM drops_log
    WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_system_generations)
    ORDER BY epoch, sequence, until DESC LIMIT 1 BY epoch, sequence
)
GROUP BY collector, epoch;
