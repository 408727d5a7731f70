-- Rollups by hour, by device and country, and sessions. Days from before are filled when they are rebuilt.
CREATE TABLE IF NOT EXISTS events_hourly_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), hour DateTime('UTC'),
    event LowCardinality(String), name LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, hour, event, name)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Events by hour and name. Read the view `events_hourly`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS events_hourly_fill TO events_hourly_log AS
SELECT arrival_day, generation, tenant, toStartOfHour(toDateTime(occurred_at, 'UTC')) AS hour, event, name,
       count() AS events
FROM events_log GROUP BY arrival_day, generation, tenant, hour, event, name;

CREATE TABLE IF NOT EXISTS page_views_hourly_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), hour DateTime('UTC'),
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String),
    sessions AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, hour)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views, visitors and sessions by hour. Read the view `page_views_hourly`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS page_views_hourly_fill TO page_views_hourly_log AS
SELECT arrival_day, generation, tenant, toStartOfHour(toDateTime(occurred_at, 'UTC')) AS hour, count() AS views,
       uniqExactState(visitor_id) AS visitors, uniqExactState(session_id) AS sessions
FROM events_log WHERE event_type = 'page_view' GROUP BY arrival_day, generation, tenant, hour;

CREATE TABLE IF NOT EXISTS devices_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date,
    ua_device LowCardinality(String), ua_os LowCardinality(String), ua_browser LowCardinality(String),
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation)
ORDER BY (tenant, day, ua_device, ua_os, ua_browser)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views by device, system, browser and day. Read the view `devices_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS devices_daily_fill TO devices_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, ua_device, ua_os, ua_browser, count() AS views,
       uniqExactState(visitor_id) AS visitors
FROM events_log WHERE event_type = 'page_view'
GROUP BY arrival_day, generation, tenant, day, ua_device, ua_os, ua_browser;

CREATE TABLE IF NOT EXISTS countries_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date, geo_country LowCardinality(String),
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day, geo_country)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views by country and day. Read the view `countries_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS countries_daily_fill TO countries_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, geo_country, count() AS views,
       uniqExactState(visitor_id) AS visitors
FROM events_log WHERE event_type = 'page_view' GROUP BY arrival_day, generation, tenant, day, geo_country;

-- A session's events come in many blocks, over midnight too: what it is known by merges. The first and the last page
-- are the least and the greatest (time, place in the raw log, page). 2299 stands for: no page yet.
CREATE TABLE IF NOT EXISTS sessions_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date, session_id String,
    visitor_id SimpleAggregateFunction(min, String),
    started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')),
    ended_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    events SimpleAggregateFunction(sum, UInt64),
    views SimpleAggregateFunction(sum, UInt64),
    entry SimpleAggregateFunction(min, Tuple(DateTime64(3, 'UTC'), UInt32, UInt64, String, String, String, String, String)),
    exit SimpleAggregateFunction(max, Tuple(DateTime64(3, 'UTC'), UInt32, UInt64, String))
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day, session_id)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Sessions by day. Read the view `sessions`, or `sessions_between` for some days.';

CREATE MATERIALIZED VIEW IF NOT EXISTS sessions_fill TO sessions_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, session_id,
       min(visitor_id) AS visitor_id, min(occurred_at) AS started_at, max(occurred_at) AS ended_at, count() AS events,
       countIf(event_type = 'page_view') AS views,
       min(if(event_type = 'page_view',
              (occurred_at, raw_partition, raw_offset, path, channel, utm_source, utm_medium, utm_campaign),
              (toDateTime64('2299-12-31 00:00:00', 3, 'UTC'), 0, 0, '', '', '', '', ''))) AS entry,
       max(if(event_type = 'page_view', (occurred_at, raw_partition, raw_offset, path),
              (toDateTime64(0, 3, 'UTC'), 0, 0, ''))) AS exit
FROM events_log WHERE session_id != '' GROUP BY arrival_day, generation, tenant, day, session_id;

-- What readers see.
CREATE VIEW IF NOT EXISTS events_hourly AS
SELECT tenant, hour, event, name, sum(events) AS events FROM events_hourly_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, hour, event, name;

CREATE VIEW IF NOT EXISTS page_views_hourly AS
SELECT tenant, hour, sum(views) AS views, uniqExactMerge(visitors) AS visitors, uniqExactMerge(sessions) AS sessions
FROM page_views_hourly_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, hour;

CREATE VIEW IF NOT EXISTS devices_daily AS
SELECT tenant, day, ua_device, ua_os, ua_browser, sum(views) AS views, uniqExactMerge(visitors) AS visitors
FROM devices_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, ua_device, ua_os, ua_browser;

CREATE VIEW IF NOT EXISTS countries_daily AS
SELECT tenant, day, geo_country, sum(views) AS views, uniqExactMerge(visitors) AS visitors FROM countries_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, geo_country;

CREATE VIEW IF NOT EXISTS sessions AS
SELECT tenant, session_id, min(log.visitor_id) AS visitor_id, min(log.started_at) AS started_at,
       max(log.ended_at) AS ended_at, dateDiff('millisecond', started_at, ended_at) / 1000 AS duration_s,
       sum(log.events) AS events, sum(log.views) AS views, views = 1 AND events = 1 AS bounced,
       min(log.entry).4 AS entry_path, max(log.exit).4 AS exit_path, min(log.entry).5 AS channel,
       min(log.entry).6 AS utm_source, min(log.entry).7 AS utm_medium, min(log.entry).8 AS utm_campaign
FROM sessions_log AS log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, session_id;

-- Reads the days asked for and one on either side: sessions that began there are whole if they last less than a day.
CREATE VIEW IF NOT EXISTS sessions_between AS
SELECT tenant, session_id, min(log.visitor_id) AS visitor_id, min(log.started_at) AS started_at,
       max(log.ended_at) AS ended_at, dateDiff('millisecond', started_at, ended_at) / 1000 AS duration_s,
       sum(log.events) AS events, sum(log.views) AS views, views = 1 AND events = 1 AS bounced,
       min(log.entry).4 AS entry_path, max(log.exit).4 AS exit_path, min(log.entry).5 AS channel,
       min(log.entry).6 AS utm_source, min(log.entry).7 AS utm_medium, min(log.entry).8 AS utm_campaign
FROM sessions_log AS log
WHERE day BETWEEN {first:Date} - 1 AND {last:Date} + 1
  AND (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, session_id
HAVING toDate(started_at) BETWEEN {first:Date} AND {last:Date};
