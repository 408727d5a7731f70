"""The tables of one plan: what the records became by today's contracts, and how that differs from what stands.

    replay_rows_PLAN      curated rows, with the columns that `events_log` has today
    replay_refused_PLAN   the other records: dead letters and repeats, with their reason
    replay_changes_PLAN   each selected record once: what it was, what it becomes
    replay_late_PLAN      accepted records whose id came live before a run announced it

Made by the plan, read by its run, dropped with it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas import envelope
from schemas.faults import fingerprint
from sinks.block import Container
from sinks.clickhouse import ClickHouse
from sinks.row import Row
from sinks.writer import INSERT_SETTINGS
from streams.batch import CuratedRecord, RawRecord
from streams.records import DeadLetter

_NAME = re.compile(r"[a-z0-9_]{1,60}")
# What the engine writes into a row by itself, or a restatement does.
_NOT_STAGED = frozenset({"arrival_day", "generation", "run"})
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})


# Records of raw partition = {number}, offsets {first} to {last}.
IN_RANGE = "raw_partition = {number:UInt32} AND raw_offset BETWEEN {first:UInt64} AND {last:UInt64}"
_STEP_OFFSETS = 50_000
# What a disk must have left, as for the tables that live rows go into: a plan gives way before they have to.
_ROOM_LEFT_BYTES = 1 << 28


class Part(NamedTuple):
    """Records of a plan: a condition on their raw partition and offset, and their number."""

    condition: str
    records: int


class Scratch:
    """Tables of the plan `name`, which is made of `a` to `z`, digits and `_`."""

    KINDS = ("replay_rows", "replay_refused", "replay_changes", "replay_late")

    def __init__(self, server: ClickHouse, name: str) -> None:
        assert _NAME.fullmatch(name), name  # noqa: S101 (a name of ours, and part of SQL)
        self._server = server
        self._events = Container("event")
        self.name = name
        self.tables = tuple(f"{kind}_{name}" for kind in self.KINDS)
        self.rows, self.refused, self.changes, self.late = self.tables

    def create(self) -> None:
        self.drop()
        self._server.execute(
            f"CREATE TABLE {self.rows} AS events_log ENGINE = MergeTree ORDER BY (raw_partition, raw_offset) "
            f"SETTINGS min_free_disk_bytes_to_perform_insert = {_ROOM_LEFT_BYTES}"
        )
        self._server.execute(
            f"CREATE TABLE {self.refused} (raw_partition UInt32, raw_offset UInt64, arrival_at DateTime64(3, 'UTC'), "
            "outcome LowCardinality(String), tenant LowCardinality(String), event LowCardinality(String), "
            "version UInt16, "
            "code LowCardinality(String), path String, fingerprint String) "
            "ENGINE = MergeTree ORDER BY (raw_partition, raw_offset)"
        )
        self._server.execute(
            f"CREATE TABLE {self.changes} (raw_partition UInt32, raw_offset UInt64, arrival_day Date, "
            "tenant LowCardinality(String), event LowCardinality(String), version UInt16, "
            "id UInt64 COMMENT 'Hash of tenant and event id of a record that would have a row', "
            "was LowCardinality(String), becomes LowCardinality(String), "
            "change LowCardinality(String) COMMENT 'accepted, changed, unchanged, removed or still', "
            "reason LowCardinality(String), fingerprint String, fields Array(LowCardinality(String))) "
            "ENGINE = MergeTree PARTITION BY change ORDER BY (arrival_day, raw_partition, raw_offset)"
        )

        self._server.execute(
            f"CREATE TABLE {self.late} (raw_partition UInt32, raw_offset UInt64) "
            "ENGINE = MergeTree ORDER BY (raw_partition, raw_offset)"
        )

    def that(self, *changes: str, within: str = "true") -> str:
        """Condition of rows that the plan calls one of `changes`. `within` is a condition on columns of the table of
        changes that all rows that are asked about fulfil: the engine holds the places of only such in memory.
        """
        names = ", ".join(f"'{each}'" for each in changes)
        return (
            f"(raw_partition, raw_offset) IN (SELECT raw_partition, raw_offset FROM {self.changes} "  # noqa: S608
            f"WHERE change IN ({names}) AND {within})"
        )

    def parts(self, *changes: str, most: int, day: str = "") -> list[Part]:
        """The records that the plan calls one of `changes`, of one arrival day or all, in parts of some `most`."""
        rows = self._server.rows(
            f"SELECT raw_partition, intDiv(raw_offset, {_STEP_OFFSETS}) AS step, min(raw_offset), max(raw_offset), "  # noqa: S608
            f"count() FROM {self.changes} WHERE change IN {{changes:Array(String)}} "
            "AND ({day:String} = '' OR toString(arrival_day) = {day:String}) "
            "GROUP BY raw_partition, step ORDER BY raw_partition, step",
            changes=list(changes),
            day=day,
        )
        return parts_of([(number, first, last, records) for number, _, first, last, records in rows], most=most)

    @property
    def is_late(self) -> str:
        """Condition of records that became duplicates after the plan was made."""
        return f"(raw_partition, raw_offset) IN (SELECT raw_partition, raw_offset FROM {self.late})"  # noqa: S608

    def drop(self) -> None:
        for table in self.tables:
            self._server.execute(f"DROP TABLE IF EXISTS {table} SYNC")

    def add_rows(self, rows: Sequence[tuple[int, CuratedRecord]]) -> None:
        """Curated records with their raw offsets."""
        if rows:
            records = [Row(offset, row.arrival_ms, row.value) for offset, row in rows]
            body = self._events.restated(records, generation=0, run="")
            self._insert(f"INSERT INTO {self.rows} ({', '.join(self._events.restated_columns)}) FORMAT Avro", body)

    def add_refused(self, number: int, letters: Sequence[DeadLetter], repeats: Sequence[RawRecord]) -> None:
        """Dead letters, and records whose id came before in their batch."""
        lines = [
            "\t".join(
                (
                    f"{number}\t{letter.raw_offset}\t{_seconds(letter.arrival_at)}\tdead_letter",
                    letter.tenant.translate(_ESCAPES),
                    letter.event.translate(_ESCAPES),
                    f"{letter.version}\t{letter.code}",
                    letter.faults[0].path.translate(_ESCAPES),
                    fingerprint(letter.event, letter.version, letter.faults),
                )
            )
            for letter in letters
        ]
        lines += [f"{number}\t{r.offset}\t{_seconds(r.arrival_ms)}\tduplicate\t{_head(r)}\t\t\t" for r in repeats]
        if lines:
            self._insert(f"INSERT INTO {self.refused} FORMAT TabSeparated", "\n".join(lines).encode())

    def columns(self) -> list[str]:
        """Columns of a row that a restatement copies: all but those that say where it is stored."""
        return [
            name
            for (name,) in self._server.rows(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
                "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position",
                table=self.rows,
            )
            if name not in _NOT_STAGED
        ]

    def _insert(self, statement: str, body: bytes) -> None:
        # A block that is sent again after a doubt would be there twice: a plan that meets one is made anew.
        self._server.insert(statement, body, settings=INSERT_SETTINGS)


def parts_of(steps: Iterable[tuple[int, int, int, int]], *, most: int) -> list[Part]:
    """Parts of `steps`, in order: (raw partition, first, last raw offset, records)."""
    groups: list[list[tuple[int, int, int, int]]] = []
    held = 0
    for step in steps:
        if not groups or held + step[3] > most:
            groups.append([])
            held = 0
        groups[-1].append(step)
        held += step[3]
    return [_part(group) for group in groups]


def _part(group: Sequence[tuple[int, int, int, int]]) -> Part:
    bounds: dict[int, tuple[int, int]] = {}
    for number, first, last, _ in group:
        bounds[number] = (bounds.get(number, (first, 0))[0], last)
    places = [f"(raw_partition = {n} AND raw_offset BETWEEN {a} AND {b})" for n, (a, b) in bounds.items()]
    return Part(f"({' OR '.join(places)})", sum(records for *_, records in group))


def _head(record: RawRecord) -> str:
    """Tenant, event and version of a record that had an outcome, so that it can be read."""
    head = envelope.decode(record.value or b"").head
    return f"{head.tenant.translate(_ESCAPES)}\t{head.event.translate(_ESCAPES)}\t{head.version}"


def _seconds(ms: int) -> str:
    return f"{ms // 1000}.{ms % 1000:03d}"
