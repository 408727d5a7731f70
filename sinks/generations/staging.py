"""A hidden generation of one day: filled by carrying over, by restated rows, and verified.

Rows come from two sides, in any order. `replace` and `insert` put restated rows in the place of others; `carry` copies
the rest from the generations that stand still. Materialized views fill the rollups as they always do.

An insert that is in doubt is repeated under its token. Whatever doubt is left is settled by `verify`, which counts; a
generation that does not verify is given up, never mended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from core.errors import InvariantError
from core.failpoints import hit
from core.log import get_logger
from sinks.clickhouse import ClickHouse, Parameter, UncertainError
from sinks.generations.record import Claim, Phase, Record
from sinks.recount import differences
from sinks.row import Row
from sinks.tables import DAY, restated
from sinks.writer import INSERT_SETTINGS

log = get_logger(__name__)

Progress = Callable[[int, int], None]  # rows done, rows in all

_BASE = "events_log"
# Rows copied by one statement: it ends well within the client's time-out, and a bar moves.
_COPIED_AT_ONCE = 500_000
_TRIES = 5
# Each chunk is copied into a generation that is given up if anything is in doubt, so nothing is to be recognised.
_COPY_SETTINGS = "insert_deduplicate = 0, async_insert = 0, max_insert_threads = 1"
_OLD = "arrival_day = {day:Date} AND generation IN {replaces:Array(UInt32)}"
_CHUNK = "raw_partition = {partition:UInt32} AND raw_offset BETWEEN {first:UInt64} AND {last:UInt64}"
# Places of one chunk: the engine holds them in memory.
_NOT_REPLACED = (
    "(raw_partition, raw_offset) NOT IN (SELECT raw_partition, raw_offset FROM replaced_rows "  # noqa: S608 (constants)
    f"WHERE arrival_day = {{day:Date}} AND generation = {{generation:UInt32}} AND {_CHUNK})"
)
# Different ids that are counted at once, for the same reason.
_IDS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class Verified:
    """What a generation that was found whole holds."""

    rows: int
    restated: int
    ids: int


class Stage:
    """A hidden generation of a day that a run fills. What it `replaces` stands still, `tail` takes live rows."""

    def __init__(self, server: ClickHouse, record: Record, claim: Claim) -> None:
        self._server = server
        self._record = record
        self._claim = claim
        self._blocks = 0
        self.day = claim.day
        self.generation = claim.generation
        self.replaces = claim.replaces
        self.tail = claim.tail
        self.verified = claim.phase in {Phase.STAGED, Phase.PUBLISHING}

    def replace(self, coordinates: Sequence[tuple[int, int]]) -> None:
        """Leave the rows of these (raw partition, raw offset) out when the day is carried over."""
        lines = "\n".join(f"{self.day}\t{self.generation}\t{p}\t{offset}" for p, offset in coordinates)
        self._send("INSERT INTO replaced_rows FORMAT TabSeparated", lines.encode(), "replaced")

    def insert(self, rows: Sequence[Row]) -> None:
        """Add restated rows: curated records as they are on the topic, all of this arrival day.

        The run's blocks are numbered in the order of these calls, so a run says them in the same order again only
        within one stage.

        Raises:
            UnavailableError: the server is away. The generation is in doubt: begin the run again.
            ServerError: the server refuses the rows.
        """
        statement, body = restated(rows, generation=self.generation, run=self._claim.run)
        self._send(statement, body, "rows")

    def carry(self, where: str = "1", /, *, progress: Progress | None = None, **parameters: Parameter) -> int:
        """Copy what is not replaced from the generations that stand still; returns the number of rows.

        `where` is a condition over columns of `events_log` that keeps rows, with `parameters` bound. The names day,
        generation, replaces, run, partition, first and last are taken.

        Raises:
            UnavailableError: the server is away. The generation is in doubt: begin the run again.
        """
        columns = ", ".join(self._columns())
        bound: dict[str, Parameter] = parameters | self._bound() | {"replaces": list(self.replaces)}
        keep = f"{_OLD} AND {_CHUNK} AND ({where}) AND {_NOT_REPLACED}"
        chunks = [{"partition": partition, "first": first, "last": last} for partition, first, last in self._chunks()]
        total = sum(
            int(self._server.scalar(f"SELECT count() FROM {_BASE} WHERE {keep}", **bound, **chunk))  # noqa: S608
            for chunk in chunks
        )
        for chunk in chunks:
            self._server.execute(
                f"INSERT INTO {_BASE} ({columns}, generation) SELECT {columns}, {{generation:UInt32}} FROM {_BASE} "  # noqa: S608
                f"WHERE {keep} SETTINGS {_COPY_SETTINGS}",
                **bound,
                **chunk,
            )
            hit("generations.after_chunk")
            done = self._count()
            if progress is not None:
                progress(min(done, total), total)
        return total

    def verify(self, *, rows: int | None = None) -> Verified:
        """Look whether the generation is whole, and note that it is.

        It is if no raw record is in it twice or in the tail as well, no event id is in it twice that was not before,
        each rollup equals a recount, and it has `rows` rows where the caller knows how many there must be.

        Raises:
            InvariantError: it is not.
        """
        found = self._verified()
        if rows is not None and found.rows != rows:
            raise self._unfit(f"{found.rows} rows where {rows} were due")
        for difference in differences(self._server, self.day, self.generation):
            raise self._unfit(f"a rollup differs from a recount: {difference}")
        held = {each.day: each for each in self._record.of_run(self._claim.run)}
        if held[self.day].generation != self.generation or not held[self.day].phase.holds:
            raise self._unfit("the run was begun again, dropped or published meanwhile")
        self._record.claim([replace(self._claim, phase=Phase.STAGED, rows=found.rows)])
        self.verified = True
        hit("generations.after_verify")
        log.info("generations.verified", run=self._claim.run, day=self.day, generation=self.generation, rows=found.rows)
        return found

    def _verified(self) -> Verified:
        rows, restated = self._server.rows(
            f"SELECT count(), countIf(run = {{run:String}}) FROM {_BASE} WHERE {DAY}",  # noqa: S608 (values bound)
            **self._bound(),
        )[0]
        if twice := self._twice("raw_partition, raw_offset", rows, [self.generation]):
            raise self._unfit(f"{twice} raw records are in it twice")
        had = self._server.scalar(
            f"SELECT count() FROM {_BASE} WHERE {_OLD}",  # noqa: S608 (values bound)
            **self._bound(),
            replaces=list(self.replaces),
        )
        ids_twice = self._twice("tenant, event_id", rows, [self.generation])
        if ids_twice and ids_twice > (before := self._twice("tenant, event_id", had, self.replaces)):
            raise self._unfit(f"{ids_twice} event ids are in it twice, {before} were before")
        both = self._server.scalar(
            f"SELECT count() FROM {_BASE} WHERE {DAY} AND (raw_partition, raw_offset) IN (SELECT raw_partition, "  # noqa: S608
            f"raw_offset FROM {_BASE} WHERE arrival_day = {{day:Date}} AND generation >= {{tail:UInt32}})",
            **self._bound(),
            tail=self.tail,
        )
        if both:
            raise self._unfit(f"{both} raw records are in it and came live as well")
        return Verified(rows, restated, rows - ids_twice)

    def _twice(self, columns: str, rows: int, generations: Sequence[int]) -> int:
        """How many of the day's rows in `generations`, some `rows` in all, have the `columns` of another one."""
        buckets = rows // _IDS_AT_ONCE + 1
        return sum(
            int(
                self._server.scalar(
                    f"SELECT count() - uniqExact({columns}) FROM {_BASE} WHERE {_OLD} "  # noqa: S608 (values bound)
                    f"AND cityHash64({columns}) % {{buckets:UInt32}} = {{bucket:UInt32}}",
                    day=self.day,
                    replaces=list(generations),
                    buckets=buckets,
                    bucket=bucket,
                )
            )
            for bucket in range(buckets)
        )

    def _chunks(self) -> Iterator[tuple[int, int, int]]:
        """(raw partition, first, last raw offset) that together hold all rows of the old generations."""
        for partition, first, last in self._server.rows(
            f"SELECT raw_partition, min(raw_offset), max(raw_offset) FROM {_BASE} WHERE {_OLD} "  # noqa: S608
            "GROUP BY raw_partition ORDER BY raw_partition",
            day=self.day,
            replaces=list(self.replaces),
        ):
            for start in range(first, last + 1, _COPIED_AT_ONCE):
                yield partition, start, min(last, start + _COPIED_AT_ONCE - 1)

    def _columns(self) -> list[str]:
        return [
            f"`{name}`"
            for (name,) in self._server.rows(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
                "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') AND name != 'generation' ORDER BY position",
                table=_BASE,
            )
        ]

    def _count(self) -> int:
        return int(self._server.scalar(f"SELECT count() FROM {_BASE} WHERE {DAY}", **self._bound()))  # noqa: S608

    def _send(self, statement: str, body: bytes, kind: str) -> None:
        self._blocks += 1
        token = f"generation:{self._claim.run}:{self.day}:{self.generation}:{kind}:{self._blocks}"
        for left in range(_TRIES, 0, -1):
            try:
                self._server.insert(statement, body, settings=INSERT_SETTINGS | {"insert_deduplication_token": token})
            except UncertainError:
                if left == 1:
                    raise
                continue
            break
        hit("generations.after_block")

    def _bound(self) -> dict[str, Parameter]:
        return {"day": self.day, "generation": self.generation, "run": self._claim.run}

    def _unfit(self, what: str) -> InvariantError:
        return InvariantError(
            f"generation {self.generation} of {self.day} by the run {self._claim.run} is not whole: {what}",
            hint="Nothing was published. Begin the run again, or drop it: sluice generations drop.",
        )
