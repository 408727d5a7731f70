"""Makes a backup, while everything runs.

Rows are taken up to the offsets that the sinks had committed when it began, so of every topic it holds exactly the
records before those. Rollups are not in it, but where their base rows are gone: they come from the base, by their
views, when it is restored. So after a restore a sink that begins at the offsets of the backup goes on without a gap and
without a repeat.
"""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from core.errors import StateError, UnavailableError
from core.settings import Settings
from core.topics import Topics
from sinks import migrate, offsets
from sinks.backup import control_entries
from sinks.backup.manifest import (
    CONTROL,
    FORMAT,
    LEFT_OUT,
    MANIFEST,
    TABLES,
    File,
    Manifest,
    content_of,
    quoted,
    sha256,
)
from sinks.clickhouse import ClickHouse, Parameter
from sinks.rollups import discover
from sinks.source import identities
from sinks.tables import Table, filled

OnStep = Callable[[str], None]

# Bounds of one file, which is held in memory, here and at the server.
_ROWS = 100_000
_BYTES = 64 * 1024 * 1024
_LOOKS = 50
_BETWEEN_LOOKS_S = 0.2
_GENERATIONS = "generations"
# What a row of it is about has to be there, or it says what is not so.
_DELETIONS = "SELECT (SELECT count() FROM retention_marks), (SELECT count() FROM generations WHERE state = 'pruned')"


def backup(settings: Settings, folder: Path, *, on_step: OnStep = lambda _: None) -> Manifest:
    """Write a backup into `folder`, which must be new or empty.

    Raises:
        StateError: the folder holds something, or rows were deleted meanwhile.
        UnavailableError: Kafka or ClickHouse does not answer, or days are restated all the time.
    """
    # What clients sent is in it.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise StateError(f"{folder} is not empty", hint="A backup wants a folder of its own.")
    folder.chmod(0o700)
    server = ClickHouse(settings)
    topics = Topics.named(settings.topic_prefix)
    tables = filled(topics)
    sources = identities(settings, [*tables, topics.control])
    told = sources.pop(topics.control)
    deletions = server.rows(_DELETIONS)
    writer = _Writer(server, folder, on_step)
    # Claims come before what they announce: a run that is found announced and not done can be gone on with.
    writer.whole("generation_claims")
    taken = _taken(settings, writer)
    targets = {each.target.rpartition(".")[2].strip("`") for each in discover(server)}
    bases = {table.name for table in tables.values()}
    names = [name for (name,) in server.rows(TABLES, left_out=LEFT_OUT)]
    for topic, table in tables.items():
        writer.base(table, taken.get(topic, {}))
    for name in names:
        if name in targets:
            writer.left_over(name)
        elif name == "restated_outcomes_log":
            writer.restated(name)
        elif name not in bases and name not in writer.columns:
            writer.whole(name)
    on_step("control topic")
    control = control_entries.lines(settings)
    writer.file(CONTROL, control)
    if server.rows(_DELETIONS) != deletions:
        raise StateError(
            "rows were deleted while the backup was made",
            hint="Begin it again, not beside `sluice retention apply` or `sluice generations prune`.",
        )
    manifest = Manifest(
        FORMAT,
        datetime.now(UTC).isoformat(timespec="seconds"),
        told.cluster_id,
        {topic: source.topic_id for topic, source in sources.items()},
        taken,
        sorted(migrate.applied(server)),
        writer.columns,
        told.topic_id,
        sha256(control),
        writer.files,
    )
    # Last: a folder without it is no backup.
    writer.file(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
    return manifest


def _taken(settings: Settings, writer: _Writer) -> dict[str, dict[int, int]]:
    """The first offset of each partition that is not taken; writes which generations there were at that moment.

    Raises:
        UnavailableError: Kafka or ClickHouse does not answer, or days are restated all the time.
    """
    for _ in range(_LOOKS):
        before = writer.count(_GENERATIONS)
        began, done = offsets.beginnings(settings), offsets.committed(settings)
        if writer.generations(rows=before):
            # A partition that nothing was stored of yet is begun with after a restore, too.
            return {topic: partitions | done.get(topic, {}) for topic, partitions in began.items()}
        time.sleep(_BETWEEN_LOOKS_S)
    raise UnavailableError("days are restated all the time", hint="Let the runs end first: sluice generations list.")


class _Writer:
    """Writes rows into files of one table each. Names and conditions are ours, or numbers and days of the server."""

    def __init__(self, server: ClickHouse, folder: Path, on_step: OnStep) -> None:
        self._server = server
        self._folder = folder
        self._on_step = on_step
        self._known: list[tuple[str, int]] = []
        self.files: list[File] = []
        self.columns: dict[str, list[str]] = {}

    def count(self, table: str) -> int:
        return int(self._server.scalar(f"SELECT count() FROM {table}"))  # noqa: S608

    def generations(self, *, rows: int) -> bool:
        """Write which generations there are, unless these are not `rows` lines any more.

        Rows of generations that come later are not taken: without such a line readers would see them.
        """
        known = self._server.rows(f"SELECT DISTINCT toString(arrival_day), generation FROM {_GENERATIONS}")  # noqa: S608
        at = len(self.files)
        self.whole(_GENERATIONS)
        if sum(each.rows for each in self.files[at:]) != rows or self.count(_GENERATIONS) != rows:
            for each in self.files[at:]:
                (self._folder / each.path).unlink()
            del self.files[at:]
            return False
        self._known = [(day, generation) for day, generation in known]
        return True

    def whole(self, table: str) -> None:
        """All rows of a small table."""
        self._write(table, "1", {})

    def left_over(self, table: str) -> None:
        """Rows of a rollup whose base rows are gone."""
        gone = "(arrival_day, generation) NOT IN (SELECT DISTINCT arrival_day, generation FROM events_log)"
        for day, generation in self._server.rows(
            f"SELECT DISTINCT arrival_day, generation FROM {table} WHERE {gone} ORDER BY 1, 2"  # noqa: S608
        ):
            self._write(table, f"arrival_day = '{day}' AND generation = {generation}", {}, states=True)

    def restated(self, table: str) -> None:
        """Rows of runs, whose generations are known."""
        self._in_ranges(table, "1", {}, ("raw_partition", "raw_offset"), known_only=True)

    def base(self, table: Table, taken: Mapping[int, int]) -> None:
        """Rows of records before the offsets `taken`."""
        taken_of = f"transform({table.partition_column}, {{ps:Array(UInt32)}}, {{os:Array(UInt64)}}, 0)"
        before = f"{table.offset_column} < {taken_of}"
        where = f"{table.only or '1'} AND ({before}{' OR run != {nobody:String}' if table.is_restated else ''})"
        bound: dict[str, Parameter] = {"ps": [*taken], "os": [*taken.values()], "nobody": ""}
        # Restated rows stand in no topic: what tells rows apart is the raw record.
        at = ("raw_partition", "raw_offset") if table.is_restated else (table.partition_column, table.offset_column)
        self._in_ranges(table.name, where, bound, at, known_only=table.is_restated)

    def _in_ranges(
        self, table: str, where: str, bound: Mapping[str, Parameter], at: tuple[str, str], *, known_only: bool
    ) -> None:
        partition, offset = at
        ranges = self._server.rows(
            f"SELECT toString(arrival_day), generation, {partition}, intDiv({offset}, {_ROWS}) AS range FROM {table} "  # noqa: S608
            f"WHERE {where} GROUP BY ALL ORDER BY ALL",
            **bound,
        )
        for day, generation, number, place in ranges:
            if known_only and generation and (day, generation) not in self._known:
                continue
            own = f"arrival_day = '{day}' AND generation = {generation} AND {partition} = {number}"
            first = place * _ROWS
            self._write(table, f"{where} AND {own}", bound, column=offset, first=first, last=first + _ROWS - 1)

    def _write(
        self,
        table: str,
        where: str,
        bound: Mapping[str, Parameter],
        *,
        column: str = "",
        first: int = 0,
        last: int = 0,
        states: bool = False,
    ) -> None:
        """A file of the rows with `column` from `first` to `last`, or several where they are too large for one.

        `states` is for rows of aggregate states, which have no hash.

        Raises:
            UnavailableError: they changed at each look.
        """
        if table not in self.columns:
            self.columns[table] = _columns(self._server, table)
        columns = self.columns[table]
        wanted = f"{where} AND {column} BETWEEN {first} AND {last}" if column else where
        figures = f"count(), sum(byteSize({quoted(columns)})), {'0' if states else content_of(columns)}"
        asked = f"SELECT {figures} FROM {table} WHERE {wanted}"  # noqa: S608
        for _ in range(_LOOKS):
            found = self._server.rows(asked, **bound)[0]
            rows, size, content = map(int, found)
            if not rows:
                return
            if column and size > _BYTES and first < last:
                middle = (first + last) // 2
                self._write(table, where, bound, column=column, first=first, last=middle)
                self._write(table, where, bound, column=column, first=middle + 1, last=last)
                return
            sql = f"SELECT {quoted(columns)} FROM {table} WHERE {wanted}"  # noqa: S608
            data = self._server.fetch(sql, form="Native", **bound)
            if self._server.rows(asked, **bound)[0] == found:
                break
            time.sleep(_BETWEEN_LOOKS_S)
        else:
            raise UnavailableError(f"rows of {table} change all the time")
        packed = gzip.compress(data, 1, mtime=0)
        name = f"{table}/{len(self.files):06}.native.gz"
        self.file(name, packed)
        self.files.append(File(name, table, rows, content, sha256(packed)))
        self._on_step(f"{name} ({rows:,} rows)")

    def file(self, name: str, data: bytes) -> None:
        """On disk when this returns."""
        path = self._folder / name
        path.parent.mkdir(exist_ok=True)
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def _columns(server: ClickHouse, table: str) -> list[str]:
    found = server.rows(
        "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} "
        "AND default_kind NOT IN ('ALIAS', 'MATERIALIZED') ORDER BY position",
        table=table,
    )
    return [name for (name,) in found]
