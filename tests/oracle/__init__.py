"""The instrument that judges everything: a seeded workload through the real door, obligations, faults, a verdict.

    workload.py   which events exist, from a seed; the oracle recomputes any of them
    sender.py     sends them over HTTP as a patient client would; every 2xx becomes an obligation
    chaos.py      kills and freezes processes at random, from a seed
    proxy.py      a TCP proxy that misbehaves on demand
    judge.py      what is in Kafka and ClickHouse against the obligations
    report.py     the verdict, readable

Stream workers alone, three of them on eight partitions, straight from the raw topic to the topics they write:

    raw_load.py      envelopes from a seed, as fast as asked
    fleet.py         workers as processes that may stay away, freeze, or meet a twin
    disturbances.py  what is done to them, and when
    progress.py      how long a partition stood still
    stream_judge.py  what each raw record must have become, against every topic
    stream_run.py    one run: load, disturb, come to rest, judge

Collectors alone, with a broker that comes and goes:

    collector_run.py    one run: load, kills and freezes of both, a verdict
    collector_judge.py  what is in the raw topics against what was acknowledged

Nothing here knows how the pipeline works inside: it sees HTTP answers, topics and tables.
"""
