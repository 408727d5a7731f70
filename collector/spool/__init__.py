"""The local spool: what was accepted while Kafka did not take it, fsynced, until it does.

    frames.py       one record as bytes: marker, CRC32C, length, body; how a scan goes on behind damage
    disk.py         the calls that durability hangs on, so that tests can make them fail
    segments.py     one file of frames: its name, what was committed of it, reading it
    log.py          the log of one folder: append, commit, read, acknowledge, recover
    folders.py      one folder a process, locked; orphans of processes that are gone
    commits.py      many requests, one fsync, in a thread
    drain.py        the oldest records first, back to Kafka, at a stated rate
    aside.py        what Kafka refuses for its size
    inspection.py   what lies where, for people
    spool.py        all of it for one process: its own folder, those it adopted, what was set aside

Only `commits`, `drain` and `spool` know asyncio; nothing knows Kafka. When records are spooled, and when no longer, is
decided in `collector.durable`.
"""
