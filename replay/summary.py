"""The figures of a plan, from its table of changes."""

from __future__ import annotations

from collections.abc import Sequence

from replay.plans import DayChange, Refusal, RollupChange
from replay.scratch import Scratch
from sinks.clickhouse import ClickHouse
from sinks.generations.record import Record
from sinks.rollups import Rollup, discover

_KEPT_REASONS = 200
_ROWS_AT_ONCE = 2_000_000  # the engine holds the places of so many: some 100 MB
_SHOWN = "(arrival_day, generation) NOT IN (SELECT arrival_day, generation FROM hidden_generations)"


class Summary:
    """Asks the changes that `scratch` holds."""

    def __init__(self, server: ClickHouse, scratch: Scratch) -> None:
        self._server = server
        self._scratch = scratch

    def by(self, column: str) -> dict[str, int]:
        """Number of records by a column of the changes."""
        return dict(self._server.rows(f"SELECT {column}, count() FROM {self._scratch.changes} GROUP BY {column}"))  # noqa: S608

    def refusals(self) -> list[Refusal]:
        """Why records have no row, those of most records first."""
        rows = self._server.rows(
            "SELECT c.event, c.version, c.becomes, if(c.reason = '', c.becomes, c.reason) AS code, any(r.path), "  # noqa: S608
            "if(c.becomes = 'dead_letter', c.fingerprint, '') AS print, count() AS records, "
            "countIf(c.change = 'removed') "
            f"FROM {self._scratch.changes} AS c LEFT JOIN (SELECT fingerprint, any(path) AS path "
            f"FROM {self._scratch.refused} WHERE fingerprint != '' GROUP BY fingerprint) AS r ON r.fingerprint = print "
            "WHERE c.becomes != 'curated' AND NOT (c.becomes = 'duplicate' AND c.was = 'duplicate') "
            "GROUP BY c.event, c.version, c.becomes, code, print ORDER BY records DESC, code, print "
            f"LIMIT {_KEPT_REASONS}"
        )
        return [Refusal(*row) for row in rows]

    def emptied(self) -> dict[str, int]:
        """Events that have rows now and would keep none, because contracts refuse them, with the number of rows."""
        return dict(
            self._server.rows(
                "SELECT event, countIf(change = 'removed') AS rows "  # noqa: S608 (a name of ours)
                f"FROM {self._scratch.changes} WHERE becomes != 'suppressed' GROUP BY event "
                "HAVING rows > 0 AND countIf(change IN ('accepted', 'changed', 'unchanged')) = 0 ORDER BY event"
            )
        )

    def days(self) -> list[DayChange]:
        """Days whose rows would change."""
        rows = self._server.rows(
            "SELECT arrival_day, countIf(change = 'accepted') AS accepted, countIf(change = 'changed') AS changed, "  # noqa: S608
            f"countIf(change = 'removed') AS removed FROM {self._scratch.changes} GROUP BY arrival_day "
            "HAVING accepted + changed + removed > 0 ORDER BY arrival_day"
        )
        days = [day for day, *_ in rows]
        if not days:
            return []
        before = dict(
            self._server.rows(
                "SELECT arrival_day, count() FROM events WHERE arrival_day IN {days:Array(Date)} GROUP BY arrival_day",
                days=days,
            )
        )
        visible = Record(self._server).visible(days)
        return [
            DayChange(
                day,
                before.get(day, 0),
                before.get(day, 0) + accepted - removed,
                accepted,
                changed,
                removed,
                list(visible[day]),
            )
            for day, accepted, changed, removed in rows
        ]

    def rollups(self, days: Sequence[str]) -> list[RollupChange]:
        """What each rollup takes in of the rows that go, and of those that come, by the rollup's own select."""
        if not days:
            return []
        bound, rollups = list(days), discover(self._server)
        seen = [name for name in self._scratch.columns() if any(rollup.reads(name) for rollup in rollups)]
        gone = [
            f"arrival_day IN {{days:Array(Date)}} AND {_SHOWN} AND {each}" for each in self._parts("removed", seen=seen)
        ]
        come = self._parts("accepted", seen=seen)
        out = []
        for rollup in rollups:
            before = self._server.scalar(
                f"SELECT sum({rollup.total}) FROM {rollup.target} "  # noqa: S608 (names come from the server)
                f"WHERE arrival_day IN {{days:Array(Date)}} AND {_SHOWN}",
                days=bound,
            )
            less = sum(self._total(rollup, rollup.select_from(each), bound) for each in gone)
            more = sum(self._total(rollup, rollup.select_from(each, source=self._scratch.rows), bound) for each in come)
            name = rollup.target.rpartition(".")[2].strip("`").removesuffix("_log")
            out.append(RollupChange(name, before, before - less + more))
        return out

    def _total(self, rollup: Rollup, select: str, days: list[str]) -> int:
        return int(self._server.scalar(f"SELECT sum({rollup.total}) FROM ({select})", days=days))  # noqa: S608 (as above)

    def _parts(self, change: str, *, seen: Sequence[str]) -> list[str]:
        """Conditions of the rows that undergo `change`, or are changed in one of the columns `seen`: by other rows no
        rollup comes to another total.
        """
        columns = ", ".join(f"'{name}'" for name in seen)
        matters = f"(change = '{change}' OR hasAny(fields, [{columns}]::Array(LowCardinality(String))))"
        parts = self._scratch.parts("changed", change, most=_ROWS_AT_ONCE)
        those = ((part, self._scratch.that("changed", change, within=f"{part} AND {matters}")) for part, _ in parts)
        return [f"{part} AND {that}" for part, that in those]
