"""The rollups of the events table: which views there are and what they select is read from the server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sinks.clickhouse import ClickHouse
from sinks.tables import DAY

_TARGET = re.compile(r"^CREATE MATERIALIZED VIEW \S+ TO (?P<target>\S+) ")
_SOURCE = re.compile(r"\bFROM (?P<source>(?:`?\w+`?\.)?`?events_log`?)(?=\s|$)")

Bounds = dict[str, str | int]  # of a block: day, generation, partition, first, last


@dataclass(frozen=True, slots=True)
class Rollup:
    """One view: `select` fills `target`, whose column `total` adds up to the number of base rows it took in."""

    target: str
    select: str
    total: str

    def reads(self, column: str) -> bool:
        """Whether the select may depend on `column` of the base. Any mention of the word counts."""
        return re.search(rf"\b{re.escape(column)}\b", self.select) is not None

    def select_from(self, where: str, *, source: str = "{source}") -> str:
        """The view's select over only those rows that match: of the base, or of a table with its columns."""
        rows = f"FROM (SELECT * FROM {source} WHERE {where})"  # noqa: S608 (a condition of ours, values bound)
        return _SOURCE.sub(lambda found: rows.replace("{source}", found["source"]), self.select)


def discover(server: ClickHouse) -> list[Rollup]:
    """The rollups of the events table in the current database."""
    views = server.rows(
        "SELECT create_table_query, as_select FROM system.tables "
        "WHERE database = currentDatabase() AND engine = 'MaterializedView' ORDER BY name"
    )
    out = []
    for statement, select in views:
        found = _TARGET.match(statement)
        if found is None or not _SOURCE.search(select):
            continue
        totals = server.rows(
            "SELECT name FROM system.columns WHERE concat(database, '.', table) = {table:String} "
            "AND type = 'SimpleAggregateFunction(sum, UInt64)' ORDER BY position",
            table=found["target"].replace("`", ""),
        )
        if totals:
            out.append(Rollup(found["target"], select, totals[0][0]))
    return out


def totals(server: ClickHouse, rollup: Rollup, day: str, generation: int) -> tuple[int, int]:
    """Base rows of one generation of a day that the view takes in, and how many of them its target adds up to."""
    # Names and selects come from the server, values are bound.
    base, have = server.rows(
        f"SELECT (SELECT sum({rollup.total}) FROM ({rollup.select_from(DAY)})), "  # noqa: S608
        f"(SELECT sum({rollup.total}) FROM {rollup.target} WHERE {DAY})",
        day=day,
        generation=generation,
    )[0]
    return int(base or 0), int(have or 0)
