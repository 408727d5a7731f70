from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from replay.selection import OffsetRange, Selection, day_of, moment, parse_moment, parse_offsets

NOW_MS = int(datetime(2026, 3, 5, 12, 30, 15, tzinfo=UTC).timestamp() * 1000)
DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T12:00", "2026-03-01T12:00:00+00:00"),
        ("2026-03-01T12:00:00+02:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T12:00Z", "2026-03-01T12:00:00+00:00"),
        ("now", "2026-03-05T12:30:15+00:00"),
        ("Today", "2026-03-05T00:00:00+00:00"),
        ("yesterday", "2026-03-04T00:00:00+00:00"),
        ("3d", "2026-03-02T12:30:15+00:00"),
        ("90m", "2026-03-05T11:00:15+00:00"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert parse_moment(text, now_ms=NOW_MS) == datetime.fromisoformat(expected).timestamp() * 1000


@pytest.mark.parametrize("text", ["", "tuesday", "2026-13-01", "3y", "-3d", "99999999999w"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(InputError, match="is no time"):
        parse_moment(text, now_ms=NOW_MS)


def test_offsets() -> None:
    assert parse_offsets(["2:100-250", "0:7"]) == (OffsetRange(2, 100, 250), OffsetRange(0, 7, 7))
    with pytest.raises(InputError, match="names no offsets"):
        parse_offsets(["2-100"])


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(from_ms=5, to_ms=5), "the window is empty"),
        (Selection(from_ms=NOW_MS + 1, to_ms=NOW_MS + 2), "in the future"),
        (Selection(from_ms=0, to_ms=1, offsets=(OffsetRange(0, 5, 4),)), "no range"),
        (Selection(from_ms=0, to_ms=1, event_ids=("a",) * 10_001), "event ids"),
    ],
)
def test_what_can_select_nothing_is_refused(selection: Selection, message: str) -> None:
    with pytest.raises(InputError, match=message):
        selection.check(now_ms=NOW_MS)


@given(st.integers(0, 4_000_000_000_000), st.integers(1, 10 * DAY_MS))
def test_the_days_of_a_window_hold_its_first_and_last_moment(begin: int, length: int) -> None:
    first, last = Selection(from_ms=begin, to_ms=begin + length).days
    assert first == day_of(begin)
    assert last == day_of(begin + length - 1)


def test_a_selection_in_words() -> None:
    selection = Selection(from_ms=NOW_MS, to_ms=NOW_MS + DAY_MS, tenant="demo", version=0, event_ids=("a", "b"))
    assert selection.describe() == ("2026-03-05 12:30:15Z to 2026-03-06 12:30:15Z, tenant demo, version 0, 2 event ids")
    assert moment(0) == "1970-01-01"
