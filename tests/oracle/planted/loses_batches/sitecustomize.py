"""A fault, no bug: the first batch of a stream worker never arrives where batches are handled."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from itertools import count

    from streams.engine import StreamEngine

    handle = StreamEngine.handle
    calls = count(1)

    def handle_later(self, batch):
        return False if next(calls) == 1 else handle(self, batch)

    StreamEngine.handle = handle_later
