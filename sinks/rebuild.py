"""Makes the rollups of days whole from their base rows: each day is carried over into a new generation, whose rollups
are filled as the rows come, and shown when they equal a recount.

Also what fills rollups that a release brings along for days from before, on any server and whatever the cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from core.log import get_logger
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import Plans
from sinks.generations.record import Claim
from sinks.generations.restatement import Restatement

log = get_logger(__name__)

# The day, rows done, rows in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One day: its new generation, the ones it took the place of, and its rows."""

    day: str
    generation: int
    replaced: tuple[int, ...]
    rows: int


def rebuild(
    server: ClickHouse,
    days: Iterable[str],
    *,
    run: str,
    plans: Plans,
    why: str = "",
    progress: Progress | None = None,
) -> list[Rebuilt]:
    """Restate `days` as they are. Killed anywhere, calling it again under the same `run` goes on.

    Raises:
        RefusedError: another run holds one of the days.
        UnavailableError: ClickHouse is away, or sinks have not finished what they had begun; call again.
        InvariantError: a new generation is not whole. Nothing was published.
    """
    restatement = Restatement(server, run, why=why)
    for stage in restatement.begin(days, plans=plans):
        if stage.verified:
            continue
        tell = None if progress is None else lambda done, total, day=stage.day: progress(day, done, total)
        rows = stage.carry(progress=tell)
        stage.verify(rows=rows)
    return [_rebuilt(claim) for claim in restatement.publish()]


def _rebuilt(claim: Claim) -> Rebuilt:
    return Rebuilt(claim.day, claim.generation, claim.replaces, claim.rows)
