"""Makes rollups whole again after an insert that was in doubt.

A materialized view's target has a deduplication log of its own, written before the part is renamed like the base's: a
kill in between leaves a token that answers "already inserted" and a rollup that is short by exactly this block. So
after a doubtful insert the day's totals are compared, and what is missing is computed from the base's rows of the
block and inserted. Which views there are, and what they select, is read from the server.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from core.log import get_logger
from sinks.clickhouse import ClickHouse
from sinks.tables import DAY, events

log = get_logger(__name__)

_TARGET = re.compile(r"^CREATE MATERIALIZED VIEW \S+ TO (?P<target>\S+) ")
_SOURCE = re.compile(r"\bFROM (?P<source>(?:`?\w+`?\.)?`?events_log`?)(?=\s|$)")
# Other sinks may be between base and view when the totals are looked at.
_LOOKS = 10
_BETWEEN_LOOKS_S = 0.2

Bounds = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Rollup:
    """One view: `select` fills `target`, whose column `total` adds up to the number of base rows it took in."""

    target: str
    select: str
    total: str

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


class RollupHealer:
    """Compares and completes the rollups of one block. `sleep` is steered by tests.

    `on_difference` is called with a day whose rollups differ by more or less than the block.
    """

    def __init__(
        self,
        server: ClickHouse,
        *,
        on_difference: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = server
        self._on_difference = on_difference
        self._sleep = sleep

    def heal(self, bounds: Bounds, *, token: str) -> list[str]:
        """Complete what is short by exactly the block's rows; returns the targets that were completed.

        A difference of another size is another sink's block on its way, or several blocks' doing: the whole day has to
        be looked at, which is not done here.
        """
        return [r.target for r in discover(self._server) if self._heal(r, bounds, token)]

    def _heal(self, rollup: Rollup, bounds: Bounds, token: str) -> bool:
        day = {"day": bounds["day"], "generation": bounds["generation"]}
        of_block = self._server.scalar(self._sum(rollup, f"({rollup.select_from(events().of_block)})"), **bounds)
        short = 0
        seen = 0
        for _ in range(_LOOKS):
            base = self._server.scalar(self._sum(rollup, f"({rollup.select_from(DAY)})"), **day)
            have = self._server.scalar(self._sum(rollup, f"{rollup.target} WHERE {DAY}"), **day)
            short = base - have
            if short == 0:
                return False
            # Twice the same: not a moment between another sink's base and view.
            seen = seen + 1 if short == of_block else 0
            if seen > 1:
                self._complete(rollup, bounds, token)
                return True
            self._sleep(_BETWEEN_LOOKS_S)
        log.error("sink.rollup_differs", table=rollup.target, day=bounds["day"], short_by=short, block=of_block)
        self._on_difference(str(bounds["day"]))
        return False

    def _complete(self, rollup: Rollup, bounds: Bounds, token: str) -> None:
        log.warning("sink.rollup_completed", table=rollup.target, **bounds)
        self._server.execute(
            f"INSERT INTO {rollup.target} {rollup.select_from(events().of_block)} "
            f"SETTINGS insert_deduplication_token = '{token}:{rollup.target}'",
            **bounds,
        )

    def _sum(self, rollup: Rollup, source: str) -> str:
        return f"SELECT sum({rollup.total}) FROM {source}"  # noqa: S608 (names come from the server, values are bound)
