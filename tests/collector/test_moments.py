from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.moments import MAX_AHEAD_MS, MAX_BEHIND_MS, Clamped, corrected, epoch_ms

NOW = 1_767_225_600_000
HOUR = 3_600_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00+00:00", 0),
        ("2026-01-01T01:00:00.123+01:00", NOW + 123),
        ("2025-12-31T18:30:00.000999-05:30", NOW),
        ("1969-12-31T23:59:59.9995+00:00", -1),
        ("0001-01-01T00:00:00+14:00", -62_135_647_200_000),
        ("9999-12-31T23:59:59-14:00", 253_402_351_199_000),
    ],
)
def test_epoch_ms(text: str, ms: int) -> None:
    assert epoch_ms(datetime.fromisoformat(text)) == ms


@given(st.integers(-(2**45), 2**45))
def test_epoch_ms_is_exact(ms: int) -> None:
    moment = datetime.fromtimestamp(0, UTC).fromtimestamp(ms // 1000, UTC).replace(microsecond=ms % 1000 * 1000)
    assert epoch_ms(moment) == ms


@pytest.mark.parametrize(
    ("occurred", "sent", "result", "clamped"),
    [
        (NOW - HOUR, 0, NOW - HOUR, ""),
        (NOW - HOUR - 5, NOW - 5, NOW - HOUR, ""),  # the clock is 5 ms behind
        (NOW + 9 * HOUR, NOW + 10 * HOUR, NOW - HOUR, ""),  # a day in the wrong time zone
        (5 * HOUR, 6 * HOUR, NOW - HOUR, ""),  # the clock was reset to 1970
        (NOW + MAX_AHEAD_MS, 0, NOW + MAX_AHEAD_MS, ""),
        (NOW + MAX_AHEAD_MS + 1, 0, NOW, "future"),
        (NOW - MAX_BEHIND_MS, 0, NOW - MAX_BEHIND_MS, ""),
        (NOW - MAX_BEHIND_MS - 1, 0, NOW, "past"),
        (0, 0, NOW, "past"),
        (-1, 0, NOW, "past"),
        (NOW, 253_402_351_199_000, NOW, "past"),
        (NOW, 1, NOW, "future"),
    ],
)
def test_corrected(occurred: int, sent: int, result: int, clamped: Clamped) -> None:
    assert corrected(occurred, sent_at_ms=sent, received_at_ms=NOW) == (result, clamped)


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**15))
def test_corrected_is_always_believable(occurred: int, sent: int) -> None:
    found, clamped = corrected(occurred, sent_at_ms=sent, received_at_ms=NOW)
    assert NOW - MAX_BEHIND_MS <= found <= NOW + MAX_AHEAD_MS
    assert not clamped or found == NOW
