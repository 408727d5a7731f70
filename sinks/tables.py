"""Which topic fills which table, and in what form. All that the exactly-once writer knows of a table stands here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from core.topics import Topics
from sinks import archive
from sinks.archive import Archive
from sinks.block import Container
from sinks.row import Row

DAY = "arrival_day = {day:Date} AND generation = {generation:UInt32}"


@dataclass(frozen=True, slots=True)
class Table:
    """A base table, filled from one topic. Several topics may fill one table: `only` then tells their rows apart.

    `body` makes the data of one insert in ClickHouse's format `form`, from the partition, its records and the
    generation that the rows are of. `partition_column` and `offset_column` say where a row's record stood in the
    topic. `is_restated` is for tables whose days are written anew (`sinks.generations`), `has_views` for tables that
    materialized views hang on.
    """

    name: str
    form: str
    columns: tuple[str, ...]
    body: Callable[[int, Sequence[Row], int], bytes]
    partition_column: str = "kafka_partition"
    offset_column: str = "kafka_offset"
    only: str = ""
    is_restated: bool = False
    has_views: bool = False

    @property
    def insert(self) -> str:
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) FORMAT {self.form}"

    @property
    def of_partition(self) -> str:
        """Condition of the rows of one partition of the topic; parameter `partition`."""
        own = f"{self.partition_column} = {{partition:UInt32}}"
        return f"{self.only} AND {own}" if self.only else own

    @property
    def of_block(self) -> str:
        """Condition of the rows of one block; parameters `day`, `generation`, `partition`, `first`, `last`."""
        between = f"{self.offset_column} BETWEEN {{first:UInt64}} AND {{last:UInt64}}"
        return f"{DAY} AND {self.of_partition} AND {between}"


@cache
def _event() -> Container:
    return Container("event")


@cache
def events() -> Table:
    return Table("events_log", "Avro", _event().columns, _event(), is_restated=True, has_views=True)


def restated(rows: Sequence[Row], *, generation: int, run: str) -> tuple[str, bytes]:
    """The insert of events that `run` restates, and its data. Such a row stands in no topic."""
    statement = f"INSERT INTO {events().name} ({', '.join(_event().restated_columns)}) FORMAT Avro"
    return statement, _event().restated(rows, generation=generation, run=run)


def filled(topics: Topics) -> Mapping[str, Table]:
    """The table that each topic fills."""
    return {
        topics.curated: events(),
        topics.raw_historic: _raw_archive("historic"),
        topics.raw: _raw_archive("live"),
        topics.dead_letters: _avro("dead_letters_log", Container("dead_letter")),
        topics.outcomes: _avro("outcomes_log", Container("outcome", arrival=True, without=frozenset({"ids"}))),
        topics.audit: _avro("audit_log", Container("audit", arrival=True)),
        topics.abuse: _avro("abuse_log", Container("abuse", arrival=True)),
        topics.drops: _avro("drops_log", Container("drops", arrival=True)),
    }


def _avro(name: str, container: Container) -> Table:
    return Table(name, "Avro", container.columns, container)


def _raw_archive(lane: str) -> Table:
    return Table(
        "raw_archive_log",
        "Native",
        archive.COLUMNS,
        Archive(lane),
        partition_column="raw_partition",
        offset_column="raw_offset",
        only=f"lane = '{lane}'",
    )
