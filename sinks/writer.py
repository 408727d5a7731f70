"""Insert and verify one block, so that each of its rows is stored exactly once in its table and in every rollup.

The plan is committed before this is called. Then, in this order:

1. Insert under the plan's token. A certain success needs no proof and ends here.
2. After an uncertain insert (time-out, lost answer, restart with a plan pending) insert again under the *same* token,
   into the table alone. A frozen sender that wakes up and sends it once more is absorbed.
3. Count the rows in the table. The engine logs a token before it renames the part: killed in between, a token answers
   "already inserted" although nothing is there. So a repeat's answer is no proof; the count is.
   An insert that the server refuses for what is in it stored nothing: whoever called bisects the block.
4. Only if rows are missing: their token is dead. Commit the next attempt's plan, insert what is missing under its
   token, into the table alone, and count again.
5. Insert the whole block under the first attempt's token once more, now for the views: the table knows that token, and
   each view takes the block if it has not. So whatever happened before, a view sees a block under one token only.
6. Have the day's rollups looked at (`healing`): a view's target can have a dead token too.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from core.errors import ConfigError, InvariantError, RefusedError, SluiceError, StateError, UnavailableError
from core.failpoints import hit
from core.log import get_logger
from core.metrics import counter, histogram
from sinks.block import UnreadableError
from sinks.clickhouse import ClickHouse, ServerError
from sinks.plan import Plan, Source
from sinks.rollups import Bounds
from sinks.row import Row
from sinks.tables import Table

log = get_logger(__name__)

# Pinned: a repeat that forms other blocks is another insert to the engine, whatever its token says. One block, so that
# a bad last row stores nothing instead of a prefix.
INSERT_SETTINGS = {
    "async_insert": "0",
    "insert_deduplicate": "1",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "materialized_views_ignore_errors": "0",
    "max_insert_threads": "1",
    "max_insert_block_size": "1048449",
    "min_insert_block_size_rows": "1048449",
    "min_insert_block_size_bytes": "268402944",
}
# Into the table alone. No setting leaves views out. But a view that may not read a byte fails, and where the table is
# told to commit its part before its views begin, that is too late to undo it: an error that means success, for a count
# to confirm.
_ORDER = "wait_for_part_commit_in_dependent_materialized_views"
_TABLE_ALONE = {"materialized_views_ignore_errors": "1", "max_bytes_to_read": "1", _ORDER: "1"}
_VIEWS_READ_NOTHING = 307  # TOO_MANY_BYTES
# More attempts than this are no accident of a crash but a server that loses what it acknowledges.
_MAX_ATTEMPTS = 5


class RowsRefusedError(RefusedError):
    """A block of which nothing is stored, because of what is in its rows. `reason` holds none of their values."""

    code = "rows_refused"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(slots=True)
class Block:
    """Rows in hand and the committed plan that names them. All of one partition and one arrival day."""

    partition: int
    rows: Sequence[Row]
    plan: Plan
    uncertain: bool  # the plan's token may already have been sent
    sent: Sequence[Row] | None = None  # what this process last sent under it

    @property
    def has_day(self) -> bool:
        return self.rows[0].has_day

    @property
    def arrival_day(self) -> str:
        return datetime.fromtimestamp(self.rows[0].arrival_ms / 1000, UTC).date().isoformat()


class Writer:
    """Writes blocks of one source into `table`. `commit_plan(partition, plan)` must return only when the plan is
    committed. `after_doubt` is told the day of a block that was in doubt, where views hang on the table. `table_alone`
    is `can_insert_alone`'s answer.
    """

    def __init__(
        self,
        server: ClickHouse,
        table: Table,
        source: Source,
        *,
        commit_plan: Callable[[int, Plan], None],
        after_doubt: Callable[[str], object],
        table_alone: bool = True,
    ) -> None:
        self._server = server
        self._table = table
        self._source = source
        self._commit_plan = commit_plan
        self._after_doubt = after_doubt
        self._alone = _TABLE_ALONE if table.has_views and table_alone else {}

    def write(self, block: Block) -> None:
        """Store `block`. Call again with the same block after UnavailableError: it continues where it was.

        Raises:
            UnavailableError: the server is away or busy; what was sent is remembered in `block`.
            RowsRefusedError: the rows cannot be stored as they are, and none of them is.
            StateError: the table is not as the migrations made it.
            ServerError: the server refuses the request for another reason.
            InvariantError: more rows are stored than were sent, or acknowledged rows vanish.
        """
        if not block.uncertain:
            self._insert(block, block.rows)
            hit("sink.after_insert")
            return
        repeated = self._to_repeat(block)
        if repeated:
            self._insert(block, repeated, **self._alone)
            hit("sink.after_insert")
        while missing := self._missing(block):
            if block.plan.attempt >= _MAX_ATTEMPTS:
                raise InvariantError(
                    f"ClickHouse acknowledged {block.plan.attempt} inserts of partition {block.partition}, plan "
                    f"{block.plan}, and {len(missing)} rows are not there"
                )
            plan = block.plan.next_attempt()
            log.warning("sink.rows_missing", partition=block.partition, plan=str(block.plan), missing=len(missing))
            self._commit_plan(block.partition, plan)
            block.plan = plan
            self._insert(block, missing, **self._alone)
        if self._alone:
            first = self._source.token(block.partition, block.plan.first_attempt(), self._table.name)
            self._send(block, block.rows, first)
            self._missing(block)  # raises, if a token that was found dead had been forgotten
        if self._table.has_views:
            self._after_doubt(block.arrival_day)
        hit("sink.after_verify")

    def _to_repeat(self, block: Block) -> Sequence[Row]:
        """What the plan's token was sent with: the same token with other rows would drop these silently.

        A first attempt carries the whole block. A later one, found at a restart, carried what was missing then, which
        is known only where everything is missing still.
        """
        if block.sent is not None:
            return block.sent
        if block.plan.attempt == 1:
            return block.rows
        missing = self._missing(block)
        return missing if len(missing) == len(block.rows) else ()

    def _token(self, block: Block) -> str:
        return self._source.token(block.partition, block.plan, self._table.name)

    def _insert(self, block: Block, rows: Sequence[Row], **settings: str) -> None:
        again, started = block.uncertain, time.monotonic()
        self._send(block, rows, self._token(block), note=True, **settings)
        if not again:
            # Sent once and acknowledged: nothing is in doubt.
            block.uncertain = False
        histogram("sluice_sink_insert_seconds").observe(time.monotonic() - started)
        if again:
            counter("sluice_sink_retries_total").labels("uncertain").inc()

    def _send(self, block: Block, rows: Sequence[Row], token: str, *, note: bool = False, **settings: str) -> None:
        """`note` what is sent under the plan's token before it is."""
        try:
            body = self._table.body(block.partition, rows, block.plan.generation)
            if note:
                block.uncertain, block.sent = True, rows
            pinned = INSERT_SETTINGS | {"insert_deduplication_token": token} | settings
            self._server.insert(self._table.insert, body, settings=pinned)
        except UnreadableError as error:
            raise self._refused(block, error.message) from error
        except ServerError as error:
            if settings and error.number == _VIEWS_READ_NOTHING:
                return
            if error.about == "rows":
                raise self._refused(block, without_values(error.message)) from error
            raise self._error(error) from error

    def _refused(self, block: Block, reason: str) -> SluiceError:
        """What to raise. Nothing is stored of an insert that was refused, which is looked up all the same: no row is
        skipped on the word of an error.
        """
        if len(self._missing(block)) == len(block.rows):
            return RowsRefusedError(reason)
        return InvariantError(
            f"{self._table.name}: ClickHouse refused rows of partition {block.partition}, plan {block.plan}, that it "
            f"stores in part: {reason}"
        )

    def _error(self, error: ServerError) -> SluiceError:
        if error.retryable:
            return UnavailableError(f"ClickHouse cannot take rows now: {error.message}")
        if error.about == "tables":
            return StateError(
                f"{self._table.name} is not as the migrations made it: {error.message}",
                hint="`sluice migrate status` says what is missing. Nothing is lost: once it is there, a sink goes on.",
            )
        if error.about == "access":
            return ConfigError(
                f"ClickHouse does not let this sink in: {error.message}",
                hint="SLUICE_CLICKHOUSE_USER and SLUICE_CLICKHOUSE_PASSWORD name a user that may insert and select.",
            )
        return error

    def _missing(self, block: Block) -> list[Row]:
        """Rows of the block that the table does not hold."""
        bounds = self._bounds(block)
        # Names and conditions are constants of ours; values are bound by the server.
        found = f"FROM {self._table.name} WHERE {self._table.of_block}"
        stored = self._server.scalar(f"SELECT count() {found}", **bounds)
        if stored > len(block.rows):
            raise InvariantError(
                f"{self._table.name}: partition {block.partition}, plan {block.plan}: "
                f"{stored} rows are stored where {len(block.rows)} were sent"
            )
        if stored == len(block.rows):
            return []
        have = {offset for (offset,) in self._server.rows(f"SELECT {self._table.offset_column} {found}", **bounds)}
        return [row for row in block.rows if row.offset not in have]

    def _bounds(self, block: Block) -> Bounds:
        return {
            "day": block.arrival_day,
            "generation": block.plan.generation,
            "partition": block.partition,
            "first": block.plan.first,
            "last": block.plan.last,
        }


_VALUE = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_MAX_REASON = 300


def without_values(message: str) -> str:
    """The first line of a server's error, without what stands in quotes there: that is of the rows."""
    return _VALUE.sub("…", message.partition("\n")[0])[:_MAX_REASON]


def can_insert_alone(server: ClickHouse) -> bool:
    """Whether the server can store rows in a table and not in its views. One that cannot (before 26.x) counts a block
    twice in rollups if it was killed between logging a token and renaming the part.
    """
    return bool(server.scalar("SELECT count() FROM system.settings WHERE name = {name:String}", name=_ORDER))
