"""A real Apache Kafka from pip alone: its jars, the JRE's flags, one KRaft broker as a child process.

Belongs here: what is particular to Kafka as a program. How children are started and watched is `infra.process`.
"""
