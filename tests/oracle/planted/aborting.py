"""The fault that two of the plants share: every third transaction is aborted after everything was written."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from streams.engine import StreamEngine, TransactionAbortedError


def abort_every_third(before: Callable[[Any, Any], None] = lambda _engine, _results: None) -> None:
    """Plant it. `before` is called with engine and results at every commit."""
    commit = StreamEngine._commit
    calls = count(1)

    def commit_or_abort(self: Any, results: Any) -> None:
        before(self, results)
        if next(calls) % 3:
            return commit(self, results)
        self._producer.begin_transaction()
        for result in results:
            self._produce(result)
        self._producer.flush(10)
        self._producer.abort_transaction(10)
        raise TransactionAbortedError("planted")

    StreamEngine._commit = commit_or_abort  # type: ignore[method-assign] # what planting is
