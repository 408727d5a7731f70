-- Pages in the order of the page, in small granules: of one page over 90 days few rows are read, not all pages of each
-- day. A skip index takes the place of the day in the order.
CREATE TABLE IF NOT EXISTS pages_daily_moved (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date, path String,
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String),
    INDEX day_range day TYPE minmax GRANULARITY 1
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, path, day)
SETTINGS non_replicated_deduplication_window = 10000, index_granularity = 1024
COMMENT 'Page views by page and day. Read the view `pages_daily`.';

-- Rows that come in while these are copied are missing afterwards: the next sink that starts finds that out and has the
-- last two days rebuilt.
-- unless: SELECT sorting_key = 'tenant, path, day' FROM system.tables WHERE database = currentDatabase() AND name = 'pages_daily_log'
TRUNCATE TABLE pages_daily_moved;

-- unless: SELECT sorting_key = 'tenant, path, day' FROM system.tables WHERE database = currentDatabase() AND name = 'pages_daily_log'
INSERT INTO pages_daily_moved SELECT * FROM pages_daily_log
SETTINGS insert_deduplicate = 0, max_partitions_per_insert_block = 0;

-- unless: SELECT sorting_key = 'tenant, path, day' FROM system.tables WHERE database = currentDatabase() AND name = 'pages_daily_log'
EXCHANGE TABLES pages_daily_log AND pages_daily_moved;

DROP TABLE IF EXISTS pages_daily_moved;

-- The first and the last page of a session by one number each instead of a tuple: time, partition, offset. That is the
-- same order, as long as a partition has fewer than 2^48 records. Comparing tuples was most of what sessions cost.
-- A new view and no MODIFY QUERY: after that one, the token of a view's block is another once the engine has been
-- restarted, and a block in doubt over a restart is taken twice. Rows that come in between are missing, as above.
DROP VIEW IF EXISTS sessions_fill;

CREATE MATERIALIZED VIEW IF NOT EXISTS sessions_fill TO sessions_log AS
WITH bitOr(bitShiftLeft(toInt128(toUnixTimestamp64Milli(occurred_at)), 64),
           bitOr(bitShiftLeft(toInt128(raw_partition), 48), toInt128(raw_offset))) AS place,
     event_type = 'page_view' AS is_view
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, session_id,
       min(visitor_id) AS visitor_id, min(occurred_at) AS started_at, max(occurred_at) AS ended_at, count() AS events,
       countIf(is_view) AS views,
       if(views = 0, (toDateTime64('2299-12-31 00:00:00', 3, 'UTC'), 0, 0, '', '', '', '', ''),
          argMinIf((occurred_at, raw_partition, raw_offset, path, channel, utm_source, utm_medium, utm_campaign),
                   place, is_view)) AS entry,
       if(views = 0, (toDateTime64(0, 3, 'UTC'), 0, 0, ''),
          argMaxIf((occurred_at, raw_partition, raw_offset, path), place, is_view)) AS exit
FROM events_log WHERE session_id != '' GROUP BY arrival_day, generation, tenant, day, session_id;

CREATE OR REPLACE VIEW sessions AS
WITH bitOr(bitShiftLeft(toInt128(toUnixTimestamp64Milli(log.entry.1)), 64),
           bitOr(bitShiftLeft(toInt128(log.entry.2), 48), toInt128(log.entry.3))) AS entry_place,
     bitOr(bitShiftLeft(toInt128(toUnixTimestamp64Milli(log.exit.1)), 64),
           bitOr(bitShiftLeft(toInt128(log.exit.2), 48), toInt128(log.exit.3))) AS exit_place
SELECT tenant, session_id, min(log.visitor_id) AS visitor_id, min(log.started_at) AS started_at,
       max(log.ended_at) AS ended_at, dateDiff('millisecond', started_at, ended_at) / 1000 AS duration_s,
       sum(log.events) AS events, sum(log.views) AS views, views = 1 AND events = 1 AS bounced,
       argMin(log.entry.4, entry_place) AS entry_path, argMax(log.exit.4, exit_place) AS exit_path,
       argMin(log.entry.5, entry_place) AS channel, argMin(log.entry.6, entry_place) AS utm_source,
       argMin(log.entry.7, entry_place) AS utm_medium, argMin(log.entry.8, entry_place) AS utm_campaign
FROM sessions_log AS log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, session_id;

CREATE OR REPLACE VIEW sessions_between AS
WITH bitOr(bitShiftLeft(toInt128(toUnixTimestamp64Milli(log.entry.1)), 64),
           bitOr(bitShiftLeft(toInt128(log.entry.2), 48), toInt128(log.entry.3))) AS entry_place,
     bitOr(bitShiftLeft(toInt128(toUnixTimestamp64Milli(log.exit.1)), 64),
           bitOr(bitShiftLeft(toInt128(log.exit.2), 48), toInt128(log.exit.3))) AS exit_place
SELECT tenant, session_id, min(log.visitor_id) AS visitor_id, min(log.started_at) AS started_at,
       max(log.ended_at) AS ended_at, dateDiff('millisecond', started_at, ended_at) / 1000 AS duration_s,
       sum(log.events) AS events, sum(log.views) AS views, views = 1 AND events = 1 AS bounced,
       argMin(log.entry.4, entry_place) AS entry_path, argMax(log.exit.4, exit_place) AS exit_path,
       argMin(log.entry.5, entry_place) AS channel, argMin(log.entry.6, entry_place) AS utm_source,
       argMin(log.entry.7, entry_place) AS utm_medium, argMin(log.entry.8, entry_place) AS utm_campaign
FROM sessions_log AS log
WHERE day BETWEEN {first:Date} - 1 AND {last:Date} + 1
  AND (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, session_id
HAVING toDate(started_at) BETWEEN {first:Date} AND {last:Date};
