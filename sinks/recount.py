"""Compares rollups with a recount of the base, key by key, by the same aggregate functions.

What a rollup holds and how it is made is read from the server: the target of a materialized view over `events_log`, its
columns, and the view's own select, which is run over the base rows of one generation of a day.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sinks.clickhouse import ClickHouse
from sinks.rollups import Rollup, discover
from sinks.tables import DAY

_STATE = re.compile(r"(?P<simple>Simple)?AggregateFunction\((?P<function>\w+)")
# Differences named of one rollup and day: enough to see what is wrong, bounded where everything is.
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of a rollup whose values are not those of a recount. A side without the key is None."""

    table: str
    day: str
    generation: int
    key: dict[str, Any]
    stored: dict[str, Any] | None
    recount: dict[str, Any] | None

    def __str__(self) -> str:
        key = ", ".join(f"{name} {value!r}" for name, value in self.key.items())
        return f"{self.table} {self.day} generation {self.generation}: {key}: {self.stored} against {self.recount}"


@dataclass(frozen=True, slots=True)
class Comparable:
    """A rollup with its columns: `key` groups, `values` are (name, expression that finishes the state)."""

    rollup: Rollup
    key: tuple[str, ...]
    values: tuple[tuple[str, str], ...]

    @property
    def table(self) -> str:
        return self.rollup.target.rpartition(".")[2].strip("`")

    def sql(self) -> str:
        """Rows that differ: key, (in the rollup, in the recount), values of each."""
        keys = ", ".join(self.key)
        values = ", ".join(f"{expression} AS v{number}" for number, (_, expression) in enumerate(self.values))
        names = ", ".join(f"v{number}" for number in range(len(self.values)))
        return (  # names come from the server, values are bound
            f"SELECT {keys}, countIf(side = 0), countIf(side = 1), "  # noqa: S608
            f"anyIf(found, side = 0), anyIf(found, side = 1) FROM ("
            f"SELECT {keys}, 0 AS side, tuple({names}) AS found FROM ("
            f"SELECT {keys}, {values} FROM {self.rollup.target} WHERE {DAY} GROUP BY {keys}) UNION ALL "
            f"SELECT {keys}, 1 AS side, tuple({names}) AS found FROM ("
            f"SELECT {keys}, {values} FROM ({self.rollup.select_from(DAY)}) GROUP BY {keys})"
            f") GROUP BY {keys} HAVING uniqExact(found) != 1 OR count() != 2 ORDER BY {keys} LIMIT {_SHOWN}"
        )


def comparables(server: ClickHouse) -> list[Comparable]:
    """Every rollup of the current database, with its columns."""
    return [_comparable(server, rollup) for rollup in discover(server)]


def differences(server: ClickHouse, day: str, generation: int) -> Iterator[Difference]:
    """What the rollups of one generation of a day hold that a recount of its base rows does not, or otherwise."""
    for each in comparables(server):
        yield from _differences(server, each, day, generation)


def _differences(server: ClickHouse, each: Comparable, day: str, generation: int) -> Iterator[Difference]:
    names = [name for name, _ in each.values]
    width = len(each.key)
    for row in server.rows(each.sql(), day=day, generation=generation):
        in_rollup, in_recount, stored, recount = row[width:]
        yield Difference(
            each.table,
            day,
            generation,
            dict(zip(each.key, row[:width], strict=True)),
            dict(zip(names, _values(stored), strict=True)) if in_rollup else None,
            dict(zip(names, _values(recount), strict=True)) if in_recount else None,
        )


def _values(found: Any) -> list[Any]:
    """A tuple travels as a list; one with names as an object."""
    return list(found.values()) if isinstance(found, dict) else list(found)


def _comparable(server: ClickHouse, rollup: Rollup) -> Comparable:
    columns = server.rows(
        "SELECT name, type FROM system.columns WHERE concat(database, '.', table) = {table:String} ORDER BY position",
        table=rollup.target.replace("`", ""),
    )
    key: list[str] = []
    values: list[tuple[str, str]] = []
    for name, type_ in columns:
        state = _STATE.match(type_)
        if state is None:
            if name not in {"arrival_day", "generation"}:
                key.append(name)
        elif state["simple"]:
            values.append((name, f"{state['function']}({name})"))
        else:
            values.append((name, f"{state['function']}Merge({name})"))
    return Comparable(rollup, tuple(key), tuple(values))
