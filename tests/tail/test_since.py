"""Where to begin, from words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.tail.since import epoch_ms

NOW = 1_767_225_600_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", NOW - 30_000),
        (" 5m ", NOW - 300_000),
        ("250ms", NOW - 250),
        ("2 h", NOW - 7_200_000),
        ("1d", NOW - 86_400_000),
        ("2026-01-01T00:00:00Z", NOW),
        ("2026-01-01T01:00:00+01:00", NOW),
        ("2026-01-01", NOW),
        ("2026-01-01T00:00:00.123Z", NOW + 123),
        ("1767225600", NOW),
        ("1767225600000", NOW),
        ("999999999d", 0),
    ],
)
def test_moments(text: str, expected: int) -> None:
    assert epoch_ms(text, now_ms=NOW) == expected


@pytest.mark.parametrize("text", ["", "-5m", "m", "5w", "yesterday", "1969-12-31", "9" * 40, "\u0665m", "5m 3s"])
def test_what_names_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        epoch_ms(text, now_ms=NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_moment_or_an_error_of_one_kind(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert epoch_ms(text, now_ms=NOW) >= 0
