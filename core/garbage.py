"""Python's cycle collector, told what kind of process this is."""

from __future__ import annotations

import gc


def calm() -> None:
    """Keep it away from what never dies, and from looking at a batch's objects while they are made.

    Nothing on a hot path of ours makes cycles; with the defaults it walks through its objects several times a batch (1
    to 2 of 11 to 13 µs an event in the streams). To be called once everything that stays is made.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)
