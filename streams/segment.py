"""A piece of a dedupe window's memory: ids of whole batches in order of arrival, with their events' raw offsets.

What arrived first is forgotten first, so the forgotten part is always a prefix, and a segment is dropped whole once
all of it is forgotten. How an id is found is `dedupe_table`'s business, when a batch is forgotten `window`'s.
"""

from __future__ import annotations

from array import array
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# Both halves of each id, n x 2. Byte order is the machine's own: it never leaves the process.
Halves: TypeAlias = NDArray[np.uint64]
Positions: TypeAlias = NDArray[np.intp]


class Segment:
    """Batches with non-decreasing arrival times, `room` ids at first. `number` names it among its table's segments."""

    __slots__ = ("_arrivals", "_ends", "_oldest", "_orders", "_owned", "halves", "number", "offsets", "used")

    def __init__(self, number: int, *, room: int) -> None:
        self.number = number
        self.used = 0
        # The system gives the memory page by page as it is written: an almost empty segment is cheap.
        self.halves: Halves = np.empty((room, 2), np.uint64)
        self.offsets: NDArray[np.int64] = np.empty(room, np.int64)
        # One item a batch, in flat arrays: a quiet partition has as many batches as ids.
        self._arrivals = array("q")
        self._orders = array("Q")
        self._ends = array("I")
        self._owned = array("I")
        self._oldest = 0

    @property
    def room(self) -> int:
        return len(self.halves) - self.used

    @property
    def newest_ms(self) -> int:
        return self._arrivals[-1]

    @property
    def oldest(self) -> tuple[int, int]:
        """Arrival time and order of the oldest batch that is not forgotten."""
        return self._arrivals[self._oldest], self._orders[self._oldest]

    @property
    def oldest_owned(self) -> int:
        """How many ids are forgotten with the oldest batch."""
        return self._owned[self._oldest]

    @property
    def forgotten(self) -> int:
        """How many positions are forgotten, from the first on."""
        return self._ends[self._oldest - 1] if self._oldest else 0

    @property
    def empty(self) -> bool:
        return self._oldest == len(self._ends)

    @property
    def nbytes(self) -> int:
        """Bytes of the part in use."""
        a_batch = self._arrivals.itemsize + self._orders.itemsize + self._ends.itemsize + self._owned.itemsize
        return self.used * (self.halves.itemsize * 2 + self.offsets.itemsize) + len(self._ends) * a_batch

    def append(self, halves: Halves, *, offsets: NDArray[np.int64], arrival_ms: int, order: int) -> Positions:
        """Add a batch (not empty) that fits and is not older than the newest; returns where its ids are."""
        start, end = self.used, self.used + len(halves)
        self.halves[start:end] = halves
        self.offsets[start:end] = offsets
        self.used = end
        self._arrivals.append(arrival_ms)
        self._orders.append(order)
        self._ends.append(end)
        self._owned.append(len(halves))
        return np.arange(start, end)

    def forget_oldest(self) -> None:
        self._oldest += 1

    def arrivals_at(self, positions: Positions) -> NDArray[np.int64]:
        return np.frombuffer(self._arrivals, np.int64)[self._batches_at(positions)]

    def disown(self, positions: Positions) -> None:
        """These ids are now held by a batch that is forgotten later than theirs."""
        np.subtract.at(np.frombuffer(self._owned, np.uintc), self._batches_at(positions), 1)

    def _batches_at(self, positions: Positions) -> Positions:
        return np.searchsorted(np.frombuffer(self._ends, np.uintc), positions, side="right")
