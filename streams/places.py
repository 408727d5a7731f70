"""Where in both lanes of a partition an event lies, as one whole number.

A dedupe window keeps *places*: a live event's raw offset stands for itself, that of a historic event has bit 62 set,
which no offset reaches. An outcome names the first of a duplicate as seen from its own lane: an offset of the same lane
stands for itself, one of the other lane has the bit set.
"""

from __future__ import annotations

import numpy as np

from core.lanes import Lane
from streams.window import Offsets

OTHER_LANE = 1 << 62


def places(offsets: list[int] | Offsets, lane: Lane) -> Offsets:
    """The places of raw offsets of one lane."""
    at = np.asarray(offsets, np.int64)
    return at if lane == "live" else at | OTHER_LANE


def seen_from(lane: Lane, place: int) -> int:
    """A place as the outcomes of `lane` name it."""
    return place if lane == "live" else place ^ OTHER_LANE


def first_of(first: int) -> tuple[bool, int]:
    """What an outcome says of a duplicate's first: whether it is in the same lane, and its raw offset there."""
    return not first & OTHER_LANE, first & ~OTHER_LANE
