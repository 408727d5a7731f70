"""The instrument that judges everything: a seeded workload through the real door, obligations, faults, a verdict.

    workload.py   which events exist, from a seed; the oracle recomputes any of them
    sender.py     sends them over HTTP as a patient client would; every 2xx becomes an obligation
    chaos.py      kills and freezes processes at random, from a seed
    proxy.py      a TCP proxy that misbehaves on demand
    judge.py      what is in Kafka and ClickHouse against the obligations
    report.py     the verdict, readable

Nothing here knows how the pipeline works inside: it sees HTTP answers, topics and tables.
"""
