"""The dedupe window of one partition: which event ids were seen and where first, bounded by time and by count.

Time is arrival time (the raw log's), so that a rebuilt window equals the one that was lost. Ids enter only after the
transaction that wrote them committed: an aborted batch is processed again and must not meet its own ids.

Batches are forgotten whole, in order of their arrival times, whatever order they are added in: ids that a replay
brings in late never drive out ids of newer events. An id added again belongs to its latest batch and is forgotten
with that one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from core.ids import DEDUPE_ID_BYTES
from streams.dedupe_table import DedupeTable, entry_numbers, first_positions, halves_of
from streams.segment import Halves, Positions, Segment

__all__ = ["NOT_SEEN", "DedupeWindow", "Offsets", "first_positions", "pack", "unpack"]

NOT_SEEN = -1

Offsets: TypeAlias = NDArray[np.int64]
Bound = Literal["time", "count"]

# A batch that is older than the newest of every open segment opens another. Beyond this many it joins the segment whose
# newest is the oldest and counts as having arrived with that: remembered longer than its own time says, never shorter.
_MAX_OPEN_SEGMENTS = 64


class DedupeWindow:
    """Not thread-safe: one batch is processed at a time."""

    def __init__(self, *, max_age_ms: int, max_ids: int, table: DedupeTable | None = None) -> None:
        self._max_age_ms = max_age_ms
        self._max_ids = max_ids
        self._table = table or DedupeTable()
        self._ids = 0
        self._newest_ms = 0
        self.forgotten: dict[Bound, int] = {"time": 0, "count": 0}  # ids, by the bound that they fell to
        self._batches = 0
        self._open: list[Segment] = []  # with room left
        # Every segment by arrival time and order of its oldest batch; orders are unique.
        self._oldest: list[tuple[int, int, Segment]] = []

    def __contains__(self, dedupe_id: bytes) -> bool:
        """For one id. A batch is asked for with `find`: it costs as much as a single id."""
        return bool(self.find(dedupe_id)[0] != NOT_SEEN)

    def __len__(self) -> int:
        return self._ids

    @property
    def horizon_ms(self) -> int | None:
        """Arrival time of the oldest remembered ids; None while empty."""
        return self._oldest[0][0] if self._oldest else None

    @property
    def reach_ms(self) -> int:
        """Time between the oldest remembered ids and the newest that were added."""
        return self._newest_ms - self._oldest[0][0] if self._oldest else 0

    @property
    def nbytes(self) -> int:
        return self._table.nbytes

    def find(self, packed: bytes) -> Offsets:
        """For each 16-byte id of `packed` the raw offset it was added with, or NOT_SEEN."""
        entries, _ = self._table.locate(halves_of(packed))
        offsets = np.full(len(entries), NOT_SEEN, np.int64)
        seen = np.flatnonzero(entries)
        for segment, indices, positions in self._table.grouped(entries[seen]):
            offsets[seen[indices]] = segment.offsets[positions]
        return offsets

    def add(self, packed: bytes, *, offsets: Sequence[int] | Offsets, arrival_ms: int) -> None:
        """Remember ids of a committed batch, one raw offset each, and forget what the bounds no longer cover.

        Of an id that is in the batch twice the first offset counts. A batch of more than 65,536 ids is several.
        """
        halves, at = halves_of(packed), np.asarray(offsets, np.int64)
        if len(halves) != len(at):
            raise ValueError(f"{len(halves)} ids have {len(at)} offsets")
        firsts = first_positions(packed) == np.arange(len(halves))
        if not firsts.all():
            halves, at = halves[firsts], at[firsts]
        for start in range(0, len(halves), self._table.segment_ids):
            part = slice(start, start + self._table.segment_ids)
            self._remember(halves[part], at[part], arrival_ms)
        self._newest_ms = max(self._newest_ms, arrival_ms)
        self._forget(arrival_ms)

    def _remember(self, halves: Halves, offsets: Offsets, arrival_ms: int) -> None:
        entries, slots = self._table.locate(halves)
        if entries.any():
            # Rare: ids that were forgotten under tighter bounds and seen again, when the window is rebuilt under wider
            # ones; or that a replay restates while they are remembered.
            kept = ~self._held_longer(entries, arrival_ms)
            halves, offsets, entries, slots = halves[kept], offsets[kept], entries[kept], slots[kept]
        if not len(halves):
            return
        again = entries != 0
        for segment, _, positions in self._table.grouped(entries[again]):
            segment.disown(positions)
        segment = self._segment_for(len(halves), arrival_ms)  # may renumber: from here on `entries` are out of date
        numbers = entry_numbers(segment, self._append(segment, halves, offsets, arrival_ms))
        if again.any():
            self._table.repoint(halves[again], slots[again], numbers[again])
            halves, numbers = halves[~again], numbers[~again]
        self._ids += len(halves)
        self._table.place(halves, numbers, remembered=self._ids)

    def _held_longer(self, entries: NDArray[np.uint32], arrival_ms: int) -> NDArray[np.bool_]:
        """Which of these entries (0: none) are in a batch that is forgotten after one that arrived at `arrival_ms`."""
        longer = np.zeros(len(entries), np.bool_)
        known = np.flatnonzero(entries)
        for segment, indices, positions in self._table.grouped(entries[known]):
            longer[known[indices]] = segment.arrivals_at(positions) > arrival_ms
        return longer

    def _segment_for(self, ids: int, arrival_ms: int) -> Segment:
        """An open segment with room whose newest batch is not newer: the newest such."""
        candidates = [segment for segment in self._open if segment.newest_ms <= arrival_ms]
        if not candidates and len(self._open) >= _MAX_OPEN_SEGMENTS:
            candidates = [min(self._open, key=lambda segment: segment.newest_ms)]
        if candidates:
            best = max(candidates, key=lambda segment: segment.newest_ms)
            if best.room >= ids:
                return best
            self._open.remove(best)
        segment = self._table.open_segment()
        self._open.append(segment)
        return segment

    def _append(self, segment: Segment, halves: Halves, offsets: Offsets, arrival_ms: int) -> Positions:
        was_empty = segment.empty
        if not was_empty:
            arrival_ms = max(arrival_ms, segment.newest_ms)
        positions = segment.append(halves, offsets=offsets, arrival_ms=arrival_ms, order=self._batches)
        self._batches += 1
        if was_empty:
            heapq.heappush(self._oldest, (*segment.oldest, segment))
        return positions

    def _forget(self, now_ms: int) -> None:
        while self._oldest:
            arrival_ms, _, segment = self._oldest[0]
            owned = segment.oldest_owned
            # A batch is forgotten whole: never below the bound while a later batch would do.
            if owned and arrival_ms >= now_ms - self._max_age_ms and self._ids - owned < self._max_ids:
                return
            self._ids -= owned
            self.forgotten["time" if arrival_ms < now_ms - self._max_age_ms else "count"] += owned
            segment.forget_oldest()
            self._table.forget(segment)
            if not segment.empty:
                heapq.heapreplace(self._oldest, (*segment.oldest, segment))
                continue
            heapq.heappop(self._oldest)
            if segment in self._open:
                self._open.remove(segment)


def unpack(packed: bytes) -> list[bytes]:
    """The ids of an outcome record."""
    return [packed[i : i + DEDUPE_ID_BYTES] for i in range(0, len(packed), DEDUPE_ID_BYTES)]


def pack(dedupe_ids: Iterable[bytes]) -> bytes:
    return b"".join(dedupe_ids)
