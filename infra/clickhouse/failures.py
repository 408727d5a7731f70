"""Whether an insert that the engine calls done was done.

chDB 26.9 forgets what goes wrong while rows are written: a full disk, a violated constraint, too many parts, a view
that fails. `finish` returns as if all was well, and nothing is stored (an insert whose rows are in its SQL does raise,
but takes no binary data). The engine's own book of errors does not forget, and names the statement of the last error of
each code. So it is read before an insert and after.
"""

from __future__ import annotations

from infra.clickhouse.engine import Engine, Failure
from infra.clickhouse.errors import ClickHouseError

# What a statement meets only before its first row: others' may be passed over.
_BEFORE_ROWS = frozenset({
    47,  # UNKNOWN_IDENTIFIER
    62,  # SYNTAX_ERROR
    115,  # UNKNOWN_SETTING
    516,  # AUTHENTICATION_FAILED
})  # fmt: skip


_OF_A_VIEW = "while pushing to view"  # how the engine ends its message


class Watch:
    """Watches one insert, the running statement with this tag. To be made before it begins.

    `without_views` says that the client wants errors of materialized views ignored.
    """

    def __init__(self, engine: Engine, tag: str, *, without_views: bool = False) -> None:
        self._engine = engine
        self._tag = tag
        self._without_views = without_views
        self._query_id = ""
        self._before = engine.failures()

    def began(self) -> None:
        """The insert is open, and has no row yet."""
        self._query_id = self._engine.query_id(self._tag)

    def ended(self) -> None:
        """Raises ClickHouseError: what went wrong with it; UNKNOWN_STATUS_OF_INSERT where others' errors hide that."""
        hidden: Failure | None = None
        for code, failure in self._engine.failures().items():
            known = self._before.get(code)
            new = failure.count - (known.count if known else 0)
            if not new or code in _BEFORE_ROWS:
                continue
            if self._query_id and failure.query_id == self._query_id:
                if self._without_views and _OF_A_VIEW in failure.message:
                    continue
                raise ClickHouseError(code, failure.name, failure.message)
            if new > 1 or not self._query_id:
                hidden = failure
        if hidden is not None:
            raise ClickHouseError(
                319,
                "UNKNOWN_STATUS_OF_INSERT",
                f"Several statements met {hidden.name} while this one inserted; whether it did too is not known",
            )
