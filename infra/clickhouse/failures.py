"""Whether an insert that the engine calls done was done.

chDB 26.9 forgets what goes wrong while rows are written: a full disk, a violated constraint, too many parts, a view
that fails. `finish` returns as if all was well, and nothing is stored (an insert whose rows are in its SQL does raise,
but takes no binary data). The engine's own book of errors does not forget, and names the statement of the last error of
each code. So it is read before an insert and after.
"""

from __future__ import annotations

from collections.abc import Callable

from infra.clickhouse.engine import Engine, Failure, Running
from infra.clickhouse.errors import ClickHouseError

# What a statement meets only before its first row: others' may be passed over.
_BEFORE_ROWS = frozenset({
    47,  # UNKNOWN_IDENTIFIER
    62,  # SYNTAX_ERROR
    115,  # UNKNOWN_SETTING
    516,  # AUTHENTICATION_FAILED
})  # fmt: skip


# What the reader of a format meets. It raises by itself, or passes over the row because the client allowed that.
_OF_A_READER = frozenset({
    6,  # CANNOT_PARSE_TEXT
    26,  # CANNOT_PARSE_QUOTED_STRING
    27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
    33,  # CANNOT_READ_ALL_DATA
    38,  # CANNOT_PARSE_DATE
    41,  # CANNOT_PARSE_DATETIME
    72,  # CANNOT_PARSE_NUMBER
    117,  # INCORRECT_DATA
})  # fmt: skip
# Of these, what expressions of views and columns do not meet: others' may be passed over.
_OF_READERS_ONLY = frozenset({27, 33, 117})
# What only a statement meets that sets a limit: others' may be passed over by one that sets none.
_OF_LIMITS = frozenset({
    158,  # TOO_MANY_ROWS
    307,  # TOO_MANY_BYTES
    396,  # TOO_MANY_ROWS_OR_BYTES
})  # fmt: skip
_CANCELLED = 394
_OF_AN_EXPRESSION = "while executing"  # these words are in the message of an error of an expression, and of a view
_OF_A_VIEW = "while pushing to view"


class Watch:
    """Watches one insert, the running statement with this tag. To be made before it begins.

    `without_views` says that the client wants errors of materialized views ignored, `may_skip_rows` that it wants rows
    passed over that cannot be read. `kills` counts the KILL statements so far: where none came meanwhile, what was
    cancelled were reads whose clients left.
    """

    def __init__(
        self,
        engine: Engine,
        tag: str,
        *,
        without_views: bool = False,
        may_skip_rows: bool = False,
        kills: Callable[[], int] = lambda: 0,
    ) -> None:
        self._engine = engine
        self._tag = tag
        self._without_views = without_views
        self._may_skip_rows = may_skip_rows
        self._kills = kills
        self._kills_before = kills()
        self._running = Running("", is_limited=True)
        self._before = engine.failures()

    def began(self) -> None:
        """The insert is open, and has no row yet."""
        self._running = self._engine.running(self._tag)

    def ended(self) -> None:
        """Raises ClickHouseError: what went wrong with it; UNKNOWN_STATUS_OF_INSERT where others' errors hide that."""
        hidden: Failure | None = None
        ours = self._running.query_id
        for code, failure in self._engine.failures().items():
            known = self._before.get(code)
            new = failure.count - (known.count if known else 0)
            if not new or code in _BEFORE_ROWS:
                continue
            if ours and failure.query_id == ours:
                if self._is_wanted(failure):
                    continue
                raise ClickHouseError(code, failure.name, failure.message)
            if (new > 1 or not ours) and not self._is_of_others(failure):
                hidden = failure
        if hidden is not None:
            raise ClickHouseError(
                319,
                "UNKNOWN_STATUS_OF_INSERT",
                f"Several statements met {hidden.name} while this one inserted; whether it did too is not known",
            )

    def _is_wanted(self, failure: Failure) -> bool:
        if self._without_views and _OF_A_VIEW in failure.message:
            return True
        is_reading = failure.code in _OF_A_READER and _OF_AN_EXPRESSION not in failure.message
        return self._may_skip_rows and is_reading

    def _is_of_others(self, failure: Failure) -> bool:
        if failure.code == _CANCELLED:
            return self._kills() == self._kills_before
        if failure.code in _OF_LIMITS:
            return not self._running.is_limited
        return failure.code in _OF_READERS_ONLY
