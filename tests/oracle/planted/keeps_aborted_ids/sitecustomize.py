"""Plants: ids enter the dedupe window before their transaction committed. Shows only where one is aborted."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from streams.window import pack
    from tests.oracle.planted.aborting import abort_every_third

    def remember_too_early(engine, results):
        for result in results:
            window = engine._windows[result.partition]
            window.add(pack(result.new_ids), offsets=result.new_offsets, arrival_ms=result.last_arrival_ms)

    abort_every_third(remember_too_early)
