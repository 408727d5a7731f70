"""Plants: the second batch of a stream worker's first life meets an exception that nobody expects."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    import os
    from itertools import count
    from pathlib import Path

    from streams import engine

    process = engine.process
    calls = count(1)
    once = Path(os.environ["SLUICE_STATE_DIR"]) / "failed-once"

    def process_badly(partition, records, **named):
        if next(calls) == 2 and not once.exists():
            once.touch()
            raise ZeroDivisionError("planted")
        return process(partition, records, **named)

    engine.process = process_badly
