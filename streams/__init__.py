"""Raw topic → curated, dead letters and outcomes, exactly once.

batch.py     what becomes of each record of a batch: no Kafka, no Faust, so replay runs the same logic
window.py    the ids that were seen
records.py   values of the topics written here
engine.py    consumer, transaction, rebalance, recovery
app.py       the Faust app that owns the engine: agents, service, supervision
"""
