"""Contracts: the Avro schemas under `avro/`, what is generated from them, and the wire format of every Avro topic.

Belongs here: reading schemas, generated validators and encoders, framing, faults in words.
Does not belong here: Kafka, HTTP, ClickHouse; deciding what happens to an event that breaks its contract (`streams`).
"""
