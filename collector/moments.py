"""Times: client clocks as epoch milliseconds, corrected by what the client says its clock showed when it sent."""

from __future__ import annotations

from datetime import UTC, datetime

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# A clock may be a time zone off (14 h at most) and the event still be worth its own time; more is a broken clock,
# and would open a partition of the future in every table.
MAX_AHEAD_MS = 23 * 3_600_000


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970-01-01 UTC, rounded down."""
    since = moment - _EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


def corrected(occurred_at_ms: int, *, sent_at_ms: int, received_at_ms: int) -> int:
    """When the event happened by our clock.

    The client's clock is off by `received_at - sent_at` (which counts the network's delay in). What is then still
    more than 23 hours ahead, or before 1970, has no believable time: it gets the time of arrival.
    """
    if sent_at_ms:
        occurred_at_ms += received_at_ms - sent_at_ms
    if not 0 <= occurred_at_ms <= received_at_ms + MAX_AHEAD_MS:
        return received_at_ms
    return occurred_at_ms
