"""Starts what the flow runs on: the embedded Kafka and ClickHouse, child processes, topics. Imports `core` only.

Belongs here: processes, ports, folders, locks of the engines; applying the declared topics.
Does not belong here: anything an event passes through.
"""
