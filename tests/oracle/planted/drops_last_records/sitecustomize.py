"""Plants: the last record of a partition's batch gets no outcome, and the outcome record says that it has one."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from dataclasses import replace

    from streams import engine

    process = engine.process

    def process_short(partition, records, **named):
        result = process(partition, records[:-1] or records, **named)
        result.outcome = replace(result.outcome, last=records[-1].offset)
        return result

    engine.process = process_short
