"""Times: client clocks as epoch milliseconds, corrected by what the client says its clock showed when it sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A clock may be a time zone off (14 h at most) and the event still be worth its own time; more is a broken clock,
# and would open a partition of the future in every table.
MAX_AHEAD_MS = 23 * 3_600_000
# Clocks that were reset show 1970, 1980 or 2000. Whoever sends older events than this imports them.
MAX_BEHIND_MS = 20 * 365 * 86_400_000

# Which way a time could not be believed; empty if it could.
Clamped = Literal["", "future", "past"]


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC, rounded down."""
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def corrected(occurred_at_ms: int, *, sent_at_ms: int, received_at_ms: int) -> tuple[int, Clamped]:
    """When the event happened by our clock, and whether that is only the time of arrival.

    The client's clock is off by `received_at - sent_at` (which counts the network's delay in). What is then still
    more than 23 hours ahead, or more than 20 years ago, has no believable time: it gets the time of arrival.
    """
    if sent_at_ms:
        occurred_at_ms += received_at_ms - sent_at_ms
    if occurred_at_ms > received_at_ms + MAX_AHEAD_MS:
        return received_at_ms, "future"
    if occurred_at_ms < received_at_ms - MAX_BEHIND_MS:
        return received_at_ms, "past"
    return occurred_at_ms, ""
