"""Plants: ids enter the dedupe window before their transaction committed. Shows only where one is aborted."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from tests.oracle.planted.aborting import abort_every_third

    def remember_too_early(engine, results):
        for result in results:
            engine._windows[result.partition].add(result.new_ids, arrival_ms=result.last_arrival_ms)

    abort_every_third(remember_too_early)
