"""Generations that nobody will ask for again leave the disk: the base and all rollups, partition by partition.

A generation is first marked as pruned, after which nothing can make it visible, and then its partitions are dropped.
Killed in between, the next pruning finds the mark and drops what is left.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from core.failpoints import hit
from core.log import get_logger
from sinks.clickhouse import ClickHouse
from sinks.generations.record import Claim, Entry, Phase, Record, State, in_phase

log = get_logger(__name__)

RUN = "pruning"  # of all prunings, so that the next takes over from one that was killed
_DEAD = frozenset({State.HIDDEN, State.SUPERSEDED, State.ROLLED_BACK, State.DROPPED})
# A query that began before a generation was hidden may still read it.
MIN_AGE_S = 3_600


def due(record: Record, *, older_than_s: float) -> list[Entry]:
    """Generations that have been out of sight for so long and are not held; those of a killed pruning too.

    A generation that was rolled back or dropped is of no use to anybody; one that was superseded is the way back.
    """
    before_ms = (time.time() - older_than_s) * 1000
    entries = record.entries()
    held = {claim.day for claim in record.holders((), but=RUN)}
    return [
        each
        for each in entries
        if each.day not in held
        and ((each.state in _DEAD and not each.visible and each.at_ms <= before_ms) or each.state is State.PRUNED)
    ]


def prune(server: ClickHouse, entries: Iterable[Entry]) -> list[Entry]:
    """Delete the rows of `entries` as `due` found them; those whose day another run holds now are left. Idempotent."""
    record = Record(server)
    done: list[Entry] = []
    by_day: dict[str, list[Entry]] = {}
    for each in entries:
        by_day.setdefault(each.day, []).append(each)
    for day, found in by_day.items():
        done += _prune_day(server, record, day, found)
    return done


def _prune_day(server: ClickHouse, record: Record, day: str, found: Sequence[Entry]) -> list[Entry]:
    claim = [Claim(day=day, run=RUN, phase=Phase.PRUNING)]
    version = record.claim(claim)
    try:
        if record.holders([day], but=RUN):
            return []
        now = {each.generation: each for each in record.entries([day])}
        out = [each for each in found if not now[each.generation].visible]
        fresh = [each for each in out if now[each.generation].state is not State.PRUNED]
        if fresh:
            marks = [Entry(day=day, generation=e.generation, visible=False, state=State.PRUNED, run=RUN) for e in fresh]
            record.show(marks, version=version)
        hit("generations.after_prune_mark")
        for table in tables(server):
            for each in out:
                server.execute(f"ALTER TABLE {table} DROP PARTITION tuple('{day}', {each.generation})")
        if out:
            log.info("generations.pruned", day=day, generations=[each.generation for each in out])
        return out
    finally:
        record.claim(in_phase(claim, Phase.PRUNED))


def tables(server: ClickHouse) -> list[str]:
    """The base, and whatever its materialized views fill."""
    from sinks.rollups import discover

    return ["events_log", "replaced_rows", *(rollup.target for rollup in discover(server))]
