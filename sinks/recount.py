"""Compares rollups with a recount of the base, key by key, by the same aggregate functions.

What a rollup holds and how it is made is read from the server: the target of a materialized view over `events_log`, its
columns, and the view's own select, which is run over the base rows of one generation of a day.

Days and tenants that retention has deleted are left out, on either side.

Rows that come in meanwhile are in the base a moment before they are in a rollup. So a rollup that differs is looked at
again: it is equal if it once was, and it differs if it still does where nothing came in. Where rows never cease to come
in the two cannot be told apart; then the day is to be made to stand still (`generations.cut`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from core.errors import UnavailableError
from sinks.clickhouse import ClickHouse
from sinks.retention import marks
from sinks.rollups import Rollup, discover
from sinks.tables import DAY

_PARTITION = re.compile(r"\('(?P<day>[0-9-]{10})',(?P<generation>[0-9]+)\)")
_STATE = re.compile(r"(?P<simple>Simple)?AggregateFunction\((?P<function>\w+)")
_COMPARED = f"{DAY} AND tenant NOT IN {{gone:Array(String)}}"
_LOOKS = 10
_SAME_LOOKS = 2
_BETWEEN_LOOKS_S = 0.25
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
            f"SELECT {keys}, {values} FROM {self.rollup.target} WHERE {_COMPARED} GROUP BY {keys}) UNION ALL "
            f"SELECT {keys}, 1 AS side, tuple({names}) AS found FROM ("
            f"SELECT {keys}, {values} FROM ({self.rollup.select_from(_COMPARED)}) GROUP BY {keys})"
            f") GROUP BY {keys} HAVING uniqExact(found) != 1 OR count() != 2 ORDER BY {keys} LIMIT {_SHOWN}"
        )


def comparables(server: ClickHouse) -> list[Comparable]:
    """Every rollup of the current database, with its columns."""
    return [_comparable(server, rollup) for rollup in discover(server)]


class MovingError(UnavailableError):
    """Rows come in faster than they can be compared."""

    code = "moving"


def differences(
    server: ClickHouse, day: str, generation: int, *, sleep: Callable[[float], None] = time.sleep
) -> list[Difference]:
    """What the rollups of one generation of a day hold that a recount of its base rows does not, or otherwise.

    At most 20 of each rollup.

    Raises:
        MovingError: they differ, and rows came in at every look.
    """
    gone = [tenant for tenant, before in _gone(server).items() if day < before]
    if "" in gone:
        return []
    return [found for each in comparables(server) for found in _lasting(server, each, day, generation, gone, sleep)]


def generations(server: ClickHouse, *, first: str = "", last: str = "") -> list[tuple[str, int]]:
    """(day, generation) of all that readers see in the base or in a rollup, of the days `first` to `last`, in order."""
    tables = ["events_log", *(each.table for each in comparables(server))]
    found = server.rows(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND database = currentDatabase() "
        "AND has({tables:Array(String)}, table)",
        tables=tables,
    )
    # A partition is named ('2026-03-01',0).
    parsed = [_PARTITION.fullmatch(name) for (name,) in found]
    hidden = {(day, generation) for day, generation in server.rows("SELECT * FROM hidden_generations")}
    all_ = {(each["day"], int(each["generation"])) for each in parsed if each is not None} - hidden
    since = max(first, _gone(server).get("", ""))
    return sorted(each for each in all_ if each[0] >= since and (not last or each[0] <= last))


def _gone(server: ClickHouse) -> dict[str, str]:
    """Day before which base or rollups were deleted on purpose, by tenant; the empty one is all."""
    found: dict[str, str] = {}
    for layer in ("events", "rollups"):
        for tenant, before in marks.gone_before(server, layer).items():
            found[tenant] = max(before, found.get(tenant, ""))
    return found


def _lasting(
    server: ClickHouse, each: Comparable, day: str, generation: int, gone: list[str], sleep: Callable[[float], None]
) -> list[Difference]:
    before: tuple[int, list[Difference]] | None = None
    same = 0
    for _ in range(_LOOKS):
        rows = server.scalar(f"SELECT count() FROM events_log WHERE {DAY}", day=day, generation=generation)  # noqa: S608
        found = list(_differences(server, each, day, generation, gone))
        if not found:
            return []
        same = same + 1 if (rows, found) == before else 0
        if same == _SAME_LOOKS:
            return found
        before = rows, found
        sleep(_BETWEEN_LOOKS_S)
    raise MovingError(
        f"{each.table} {day} generation {generation} cannot be compared: rows come in all the time",
        hint="Let live events go on in a generation of their own meanwhile: `sluice rollups verify` does.",
    )


def _differences(
    server: ClickHouse, each: Comparable, day: str, generation: int, gone: list[str]
) -> Iterator[Difference]:
    names = [name for name, _ in each.values]
    width = len(each.key)
    for row in server.rows(each.sql(), day=day, generation=generation, gone=gone):
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
