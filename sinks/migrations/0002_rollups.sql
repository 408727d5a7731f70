-- Rollups: kept live by materialized views, partitioned like the base, so that a restated day restates them too.
-- `day` is the event's own UTC day. Unique counts are exact states: they merge over any days and equal a recount.
-- Each target keeps its own deduplication window: a block that the base has already is still pushed to the views.

CREATE TABLE IF NOT EXISTS events_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date,
    event LowCardinality(String), name LowCardinality(String),
    events SimpleAggregateFunction(sum, UInt64)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day, event, name)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Events by day and name. Read the view `events_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS events_daily_fill TO events_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, event, name, count() AS events
FROM events_log GROUP BY arrival_day, generation, tenant, day, event, name;

CREATE TABLE IF NOT EXISTS page_views_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date,
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String),
    sessions AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views, visitors and sessions by day. Read the view `page_views_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS page_views_daily_fill TO page_views_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, count() AS views,
       uniqExactState(visitor_id) AS visitors, uniqExactState(session_id) AS sessions
FROM events_log WHERE event_type = 'page_view' GROUP BY arrival_day, generation, tenant, day;

CREATE TABLE IF NOT EXISTS pages_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date, path String,
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day, path)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views by page and day. Read the view `pages_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS pages_daily_fill TO pages_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, path, count() AS views,
       uniqExactState(visitor_id) AS visitors
FROM events_log WHERE event_type = 'page_view' GROUP BY arrival_day, generation, tenant, day, path;

CREATE TABLE IF NOT EXISTS referrers_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date, referrer_host String,
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation) ORDER BY (tenant, day, referrer_host)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views by referring host and day. Read the view `referrers_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS referrers_daily_fill TO referrers_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, referrer_host, count() AS views,
       uniqExactState(visitor_id) AS visitors
FROM events_log WHERE event_type = 'page_view' AND referrer_host != ''
GROUP BY arrival_day, generation, tenant, day, referrer_host;

CREATE TABLE IF NOT EXISTS utm_daily_log (
    arrival_day Date, generation UInt32, tenant LowCardinality(String), day Date,
    utm_source String, utm_medium String, utm_campaign String,
    views SimpleAggregateFunction(sum, UInt64),
    visitors AggregateFunction(uniqExact, String)
)
ENGINE = AggregatingMergeTree PARTITION BY (arrival_day, generation)
ORDER BY (tenant, day, utm_source, utm_medium, utm_campaign)
SETTINGS non_replicated_deduplication_window = 10000
COMMENT 'Page views by campaign and day. Read the view `utm_daily`.';

CREATE MATERIALIZED VIEW IF NOT EXISTS utm_daily_fill TO utm_daily_log AS
SELECT arrival_day, generation, tenant, toDate(occurred_at) AS day, utm_source, utm_medium, utm_campaign,
       count() AS views, uniqExactState(visitor_id) AS visitors
FROM events_log WHERE event_type = 'page_view' AND (utm_source != '' OR utm_medium != '' OR utm_campaign != '')
GROUP BY arrival_day, generation, tenant, day, utm_source, utm_medium, utm_campaign;

-- What readers see.
CREATE VIEW IF NOT EXISTS events_daily AS
SELECT tenant, day, event, name, sum(events) AS events FROM events_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, event, name;

CREATE VIEW IF NOT EXISTS page_views_daily AS
SELECT tenant, day, sum(views) AS views, uniqExactMerge(visitors) AS visitors, uniqExactMerge(sessions) AS sessions
FROM page_views_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day;

CREATE VIEW IF NOT EXISTS pages_daily AS
SELECT tenant, day, path, sum(views) AS views, uniqExactMerge(visitors) AS visitors FROM pages_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, path;

CREATE VIEW IF NOT EXISTS referrers_daily AS
SELECT tenant, day, referrer_host, sum(views) AS views, uniqExactMerge(visitors) AS visitors FROM referrers_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, referrer_host;

CREATE VIEW IF NOT EXISTS utm_daily AS
SELECT tenant, day, utm_source, utm_medium, utm_campaign, sum(views) AS views, uniqExactMerge(visitors) AS visitors
FROM utm_daily_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
GROUP BY tenant, day, utm_source, utm_medium, utm_campaign;
