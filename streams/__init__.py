"""Raw topic → curated, dead letters and outcomes, exactly once.

batch.py     what becomes of each record of a batch: no Kafka, no Faust, so replay runs the same logic
reading.py   from a raw record to a judged event; rows.py from there to the curated record
window.py    the ids that were seen; dedupe_table.py and segment.py hold them in little memory
enrich/      what an address, referrer, user agent and network tell about an event
records.py   values of the topics written here
engine.py    transaction, rebalance; intake.py consumes the lanes, recovery.py says where to continue
places.py    a raw record of either lane as one number
control.py   what the control topic says to a worker; pause.py whether to go on
limits.py    too many dead letters: alert or halt; alerts.py tells it
transaction.py  the one Kafka transaction of a batch
processor/   processors that users write
app.py       the Faust app that owns the engine: agents, service, supervision
"""
