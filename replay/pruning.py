"""Deletes plans that are old, and working tables that nobody needs: of plans that were killed while they were made, and
lists of subjects of whoever was killed while it used them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from replay import suppression
from replay.holding import is_held
from replay.plans import Plans
from replay.running import RUN_PREFIX
from replay.scratch import Scratch
from sinks.clickhouse import ClickHouse

# A run in these may go on, with what its plan has staged.
_UNFINISHED = frozenset({"running", "cancelling", "failed"})


@dataclass(frozen=True, slots=True)
class Pruned:
    """Numbers of plans and of tables that were deleted; runs whose plans are old and stay, for they are not done."""

    plans: int
    leftovers: int
    unfinished: list[str]


def prune(server: ClickHouse, *, before_ms: int) -> Pruned:
    """Delete plans made before `before_ms` (epoch milliseconds), and all that is left of killed ones."""
    kept = Plans(server)
    unfinished = {run.plan: run.id for run in kept.runs() if run.state in _UNFINISHED}
    old = [plan.id for plan in kept.plans() if plan.at_ms < before_ms and not _is_worked_on(server, plan.id)]
    gone = [plan for plan in old if plan not in unfinished]
    for plan in gone:
        Scratch(server, plan).drop()
        kept.forget(plan)
    # The tables are looked at before the plans: one that is kept meanwhile is known then.
    tables = _working_tables(server)
    known = {plan.id for plan in kept.plans()}
    left = [
        table
        for table, (kind, plan) in tables.items()
        if (kind == suppression.TABLE or plan not in known) and not _is_worked_on(server, plan)
    ]
    for table in left:
        server.execute(f"DROP TABLE IF EXISTS {table} SYNC")
    return Pruned(len(gone), len(left), [unfinished[plan] for plan in old if plan in unfinished])


def _working_tables(server: ClickHouse) -> dict[str, tuple[str, str]]:
    """Table → what it is, and whose."""
    kinds = "|".join((*Scratch.KINDS, suppression.TABLE))
    pattern = re.compile(rf"({kinds})_([a-z0-9_]+)")
    rows = server.rows("SELECT name FROM system.tables WHERE database = currentDatabase() AND name LIKE 'replay_%'")
    return {name: (found[1], found[2]) for (name,) in rows if (found := pattern.fullmatch(name))}


def _is_worked_on(server: ClickHouse, plan: str) -> bool:
    return is_held(server, plan) or is_held(server, RUN_PREFIX + plan)
