"""Curated topic → ClickHouse base tables and rollups, exactly once.

clickhouse.py  one HTTP request to ClickHouse, and what its failure proves
migrate.py     numbered SQL under migrations/, applied in order
views.py       typed views of events, made from their contracts
plan.py        what is about to be inserted, kept in the offset commit's metadata
block.py       curated records → one Avro block, bytes passed through
writer.py      plan, insert, verify: one block
rollups.py     completes rollups after an insert in doubt
    partition.py   rows of one partition, waiting and in hand
worker.py      the consumer loop
"""
