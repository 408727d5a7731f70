-- What stream workers tell about an event from its address, referrer, user agent and network. Rows from before have
-- the defaults.
ALTER TABLE events_log
    ADD COLUMN IF NOT EXISTS ua_browser LowCardinality(String) COMMENT 'Browser; of a bot its name',
    ADD COLUMN IF NOT EXISTS ua_browser_version LowCardinality(String) COMMENT 'Major version of the browser; empty for bots',
    ADD COLUMN IF NOT EXISTS ua_os LowCardinality(String) COMMENT 'Operating system; empty for bots',
    ADD COLUMN IF NOT EXISTS ua_device LowCardinality(String) COMMENT 'desktop, mobile, tablet, bot or other; empty if no user agent is known',
    ADD COLUMN IF NOT EXISTS is_bot Bool DEFAULT false COMMENT 'The user agent is that of a program',
    ADD COLUMN IF NOT EXISTS referrer_type LowCardinality(String) COMMENT 'direct, internal, search, social, email, paid, ai or referral',
    ADD COLUMN IF NOT EXISTS referrer_name LowCardinality(String) COMMENT 'Name of the engine or network, else the referring site',
    ADD COLUMN IF NOT EXISTS utm_term String COMMENT 'Parameter of the address, decoded',
    ADD COLUMN IF NOT EXISTS utm_content String COMMENT 'Parameter of the address, decoded',
    ADD COLUMN IF NOT EXISTS click_id_type LowCardinality(String) COMMENT 'Parameter that the click id came in',
    ADD COLUMN IF NOT EXISTS click_id String COMMENT 'Id of the click on an advertisement',
    ADD COLUMN IF NOT EXISTS channel LowCardinality(String) COMMENT 'What brought the visitor, from referrer and campaign',
    ADD COLUMN IF NOT EXISTS geo_country LowCardinality(String) COMMENT 'ISO 3166-1 code of the country',
    ADD COLUMN IF NOT EXISTS geo_region LowCardinality(String) COMMENT 'Name of the first subdivision, in English, else its code',
    ADD COLUMN IF NOT EXISTS geo_city LowCardinality(String) COMMENT 'Name of the city, in English',
    ADD COLUMN IF NOT EXISTS session_derived Bool DEFAULT false COMMENT 'The session is one of ours: the client sent none';
-- A view keeps the list of columns it was made with.
CREATE OR REPLACE VIEW events AS
SELECT * FROM events_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations);
