"""The HTTP edge: judges events, publishes the accepted ones to the raw topics, answers once Kafka has them.

Belongs here: HTTP, the event contract, verdicts, what a raw record looks like.
Does not belong here: whether an event fits its tenant's schema, whether it is a repeat, anything slow.
Imports `core` and `schemas` only.
"""
