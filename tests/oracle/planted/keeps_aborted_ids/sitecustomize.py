"""Plants: ids enter the dedupe window before their transaction committed. Shows only where one is aborted."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from streams.places import places
    from streams.window import pack
    from tests.oracle.planted.aborting import abort_every_third

    def remember_too_early(engine, results):
        for result in results:
            at = places(result.new_offsets, engine._lanes.lane(result.partition))
            window = engine._window(result.partition)
            window.add(pack(result.new_ids), offsets=at, arrival_ms=result.last_arrival_ms)

    abort_every_third(remember_too_early)
