"""A fault, no bug: every third transaction of a stream worker is aborted after everything was written."""

import sys

if sys.orig_argv[-1:] == ["streams"]:
    from streams.engine import StreamEngine, TransactionAbortedError

    commit = StreamEngine._commit

    def commit_or_abort(self, results, calls=[0]):  # noqa: B006 (the count outlives the call on purpose)
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
