"""Replay: a window of raw records goes through today's contracts, is compared with what stands, and takes its place.

    selection.py   which raw records: window, tenant, event, version, reason, ids
    coverage.py    where they are kept: Kafka within its retention, the archive beyond it, and what is kept nowhere
    source.py      reads them, batch by batch
    scratch.py     the tables of one plan
    judging.py     gives each of them its outcome by today's contracts; the code of the streams
    comparing.py   what would change, by row, field, day and rollup
    planning.py    a plan: all of the above, and nothing else changes
    plans.py       plans and runs as they are kept
    running.py     a run: stages the days of a plan, verifies, publishes
    holding.py     one process at a time works on a plan or a run
    pruning.py     deletes old plans, and what killed ones left
    suppression.py subjects that stay out

Stands on `sinks.generations`, which makes a day's rows change for all readers at once, and back. What is printed is
`cli.replay`'s business.
"""
