"""Makes what is stored of a day stand still, with nothing restated: live rows go on in a new generation.

For looking at a day that rows come in to. Each cut costs a partition of every table, so it is not for every minute.
"""

from __future__ import annotations

import uuid

from core.errors import RefusedError
from sinks.clickhouse import ClickHouse
from sinks.generations.handover import HANDOVER_S, Plans, wait_for_sinks
from sinks.generations.record import Claim, Entry, Phase, Record, State, in_phase


def cut(server: ClickHouse, day: str, *, plans: Plans, timeout_s: float = HANDOVER_S) -> int:
    """Open a new live generation of `day` and return its number, once nobody inserts into the ones before.

    Raises:
        RefusedError: a run holds the day.
        UnavailableError: sinks have not finished what they had begun.
    """
    record = Record(server)
    # A run of its own, so that two cuts do not take each other for one.
    claim = [Claim(day=day, run=f"cut-{uuid.uuid4()}", phase=Phase.STAGING)]
    version = record.claim(claim)
    try:
        for each in record.holders([day], but=claim[0].run):
            raise RefusedError(f"the run {each.run} holds {day}: it is {each.phase}")
        tail = record.next_generations([day])[day]
        entry = Entry(day=day, generation=tail, visible=True, live=True, state=State.LIVE, run=claim[0].run)
        record.show([entry], version=version)
    finally:
        record.claim(in_phase(claim, Phase.DROPPED))
    wait_for_sinks(plans, timeout_s=timeout_s)
    return tail
