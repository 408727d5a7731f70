-- An outcome holds as long as its run is not rolled back, also when a later run made the day anew: of several runs that
-- looked at a record the latest counts.
CREATE OR REPLACE VIEW restated_outcomes AS
SELECT * FROM restated_outcomes_log
WHERE (arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)
    OR (arrival_day, run) IN (
        SELECT arrival_day, run FROM generation_claims GROUP BY arrival_day, run
        HAVING argMax(state, version) = 'published'
    )
ORDER BY generation DESC
LIMIT 1 BY raw_partition, raw_offset;
