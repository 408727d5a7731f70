-- How far the tables are, asked of the tables alone. A raw partition is known by its number (live ones first).
-- Gaps: raw offsets between two outcomes that have none.
CREATE VIEW IF NOT EXISTS raw_gaps AS
SELECT raw_partition, before + 1 AS gap_first, next - 1 AS gap_last, gap_last - gap_first + 1 AS offsets
FROM (
    SELECT raw_partition, first AS next, lagInFrame(last, 1, last) OVER by_offset AS before,
           row_number() OVER by_offset AS place
    FROM outcomes
    WINDOW by_offset AS (PARTITION BY raw_partition ORDER BY first ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE place > 1 AND next > before + 1;

-- `judged_to`: the last raw offset with an outcome. `contiguous_to`: the last before a gap. `stored_to`: the last up to
-- which the table of events holds everything too, since a sink stores each partition in its order.
CREATE VIEW IF NOT EXISTS completeness AS
SELECT judged.raw_partition AS raw_partition, judged_from, judged_to, contiguous_to, gaps,
       if(curated_to <= rows_to, contiguous_to, least(rows_to, contiguous_to)) AS stored_to,
       if(curated_to <= rows_to, contiguous_at, least(arrived_at, contiguous_at)) AS arrival_watermark,
       happened_at AS event_watermark
FROM (
    SELECT raw_partition, min(first) AS judged_from, max(last) AS judged_to, max(behind) AS gaps,
           maxIf(last, behind = 0) AS contiguous_to, maxIf(arrival_at, behind = 0) AS contiguous_at,
           maxIf(curated, behind = 0) AS curated_to
    FROM (
        SELECT raw_partition, first, last, arrival_at, curated,
               sum(is_gap) OVER (PARTITION BY raw_partition ORDER BY first
                                 ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS behind
        FROM (
            SELECT raw_partition, first, last, arrival_at,
                   arrayMax(arrayMap(run -> if(run.outcome = 'curated', toInt64(run.first + run.count) - 1, -1), runs))
                       AS curated,
                   place > 1 AND first > before + 1 AS is_gap
            FROM (
                SELECT raw_partition, first, last, arrival_at, runs, lagInFrame(last, 1, last) OVER by_offset AS before,
                       row_number() OVER by_offset AS place
                FROM outcomes
                WINDOW by_offset AS (PARTITION BY raw_partition ORDER BY first
                                     ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
            )
        )
    )
    GROUP BY raw_partition
) AS judged
LEFT JOIN (
    SELECT raw_partition, toInt64(max(raw_offset)) AS rows_to, max(arrival_at) AS arrived_at, max(occurred_at) AS happened_at
    FROM events GROUP BY raw_partition
) AS stored ON judged.raw_partition = stored.raw_partition;
