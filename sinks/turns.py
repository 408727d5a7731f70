"""Whose block goes out next: what queries wait for, then what else is live, then imports (`core.lanes`).

Inserts run in a few places at once. While live events come, one place is kept for what is live, so that none of it
waits for the end of a historic block, which is larger. The others then gather for longer: an insert costs the engine
the same 50 ms for a row as for a thousand. Whatever is more urgent, everything gets a block now and then: an import is
slow then, and never stands still.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum

from core.lanes import Lanes
from core.topics import Topics
from sinks.partition import PartitionBuffer

# Live events are coming for so long after the last block of them.
LIVE_S = 10.0


class Rank(IntEnum):
    """The lower goes first."""

    EVENTS = 0  # of the live lane: rows that somebody looks at
    LIVE = 1  # raw archive, outcomes and the like
    HISTORIC = 2


# So often there is a block of the rank, whatever is more urgent.
AT_LEAST_S = {Rank.EVENTS: 0.0, Rank.LIVE: 1.0, Rank.HISTORIC: 2.0}
# How much longer rows gather while live events come.
LONGER = {Rank.EVENTS: 1, Rank.LIVE: 3, Rank.HISTORIC: 5}


class Turns:
    """`places` inserts may run at once. Times are of one monotonic clock, in seconds."""

    def __init__(self, lanes: Lanes, topics: Topics, *, places: int) -> None:
        self._lanes = lanes
        self._topics = topics
        self._by_number = frozenset({topics.curated, topics.dead_letters, topics.outcomes})
        self._places = places
        self._begun_at = dict.fromkeys(Rank, float("-inf"))

    def rank(self, topic: str, partition: int) -> Rank:
        if topic in self._by_number and self._lanes.lane(partition) == "historic":
            return Rank.HISTORIC
        if topic == self._topics.raw_historic:
            return Rank.HISTORIC
        return Rank.EVENTS if topic == self._topics.curated else Rank.LIVE

    def linger_s(self, buffer: PartitionBuffer, linger_s: float, *, now: float) -> float:
        """How long rows of `buffer` are gathered, where `linger_s` is asked for."""
        return linger_s * LONGER[self._rank(buffer)] if self._is_live(now) else linger_s

    def next(
        self, due: Sequence[PartitionBuffer], under_way: Collection[PartitionBuffer], *, now: float
    ) -> PartitionBuffer | None:
        """The one of `due` whose block is to be begun now, beside those `under_way`; None if it is nobody's turn.

        Of one rank, the one that has waited longest.
        """
        free = self._places - len(under_way)
        running = {self._rank(each) for each in under_way}
        kept = 1 if self._places > 1 and self._is_live(now) else 0
        first: dict[Rank, PartitionBuffer] = {}
        for each in due:
            rank = self._rank(each)
            if rank not in first or each.waiting_since < first[rank].waiting_since:
                first[rank] = each
        overdue = [r for r in first if r not in running and now - self._begun_at[r] >= AT_LEAST_S[r] > 0]
        for rank in [*sorted(overdue, reverse=True), *sorted(first)]:
            if free > (kept if rank is Rank.HISTORIC and rank not in overdue else 0):
                self._begun_at[rank] = now
                return first[rank]
        return None

    def _is_live(self, now: float) -> bool:
        return now - self._begun_at[Rank.EVENTS] < LIVE_S

    def _rank(self, buffer: PartitionBuffer) -> Rank:
        return self.rank(buffer.topic, buffer.number)
