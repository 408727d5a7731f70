"""Shared kernel: settings, errors, clock, ids, logging, metrics, lifecycle, Kafka client settings, topics.

Belongs here: what at least two rooms of the flow need and what knows nothing of any of them.
Does not belong here: HTTP, Avro, SQL, or anything that starts a process.
"""
