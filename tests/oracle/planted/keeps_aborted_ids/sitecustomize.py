"""Plants: ids enter the dedupe window before their transaction committed. Shows only where one is aborted."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from streams.engine import StreamEngine, TransactionAbortedError

    commit = StreamEngine._commit

    def commit_or_abort(self, results, calls=[0]):  # noqa: B006 (the count outlives the call on purpose)
        for result in results:
            self._windows[result.partition].add(result.new_ids, arrival_ms=result.last_arrival_ms)
        calls[0] += 1
        if calls[0] % 3:
            return commit(self, results)
        self._producer.begin_transaction()
        for result in results:
            self._produce(result)
        self._producer.flush(10)
        self._producer.abort_transaction(10)
        raise TransactionAbortedError("planted")

    StreamEngine._commit = commit_or_abort
