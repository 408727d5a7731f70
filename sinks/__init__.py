"""Topics → ClickHouse tables and rollups, exactly once.

clickhouse.py  one HTTP request to ClickHouse, and what its failure proves
migrate.py     numbered SQL under migrations/, applied in order
views.py       typed views of events, made from their contracts
tables.py      which topic fills which table, in what form
plan.py        what is about to be inserted, kept in the offset commit's metadata
source.py      a topic's identity, and how far the tables hold it
row.py         a record on its way to a table
block.py       Avro records → one Avro block, bytes passed through
archive.py     raw records → one block of the archive
writer.py      plan, insert, verify: one block
rollups.py     completes rollups after an insert in doubt
recount.py     compares rollups with a recount of the base
rebuild.py     makes the rollups of days whole by restating them as they are
healing.py     does so beside the sink's work where a block in doubt is not all that is missing
generations/   days written anew beside the old ones, shown and rolled back by one insert
retention/     what is deleted by age
completeness.py  how far the tables are
partition.py   rows of one partition, waiting and in hand
worker.py      the consumer loop
"""
