-- What retention deleted on purpose: rows of earlier days are no gap, and rollups that outlive them are no difference.
CREATE TABLE IF NOT EXISTS retention_marks (
    layer LowCardinality(String) COMMENT 'archive, events, rollups, outcomes, dead_letters, audit, abuse or personal',
    tenant String COMMENT 'Empty: all',
    before Date COMMENT 'Rows of earlier days of arrival may be gone',
    days UInt32 COMMENT 'How long they are kept from then on; 0 is for ever',
    at DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = MergeTree ORDER BY (layer, tenant, at)
COMMENT 'Retention as it was applied. Lines are only added.';

-- A disk that is nearly full takes no more rows while everything else still works: the sink waits and tries again.
ALTER TABLE events_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
ALTER TABLE raw_archive_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
ALTER TABLE dead_letters_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
ALTER TABLE outcomes_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
ALTER TABLE audit_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
ALTER TABLE abuse_log MODIFY SETTING min_free_disk_bytes_to_perform_insert = 268435456;
