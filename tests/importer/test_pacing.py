"""The token bucket: the rate holds whatever the sizes are, and events flow evenly."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.importer.pacing import TokenBucket
from cli.importer.sender import Sending
from core.clock import ManualClock


def take(bucket: TokenBucket, clock: ManualClock, tokens: int) -> float:
    pause = bucket.take(tokens)
    clock.advance(pause)
    return pause


@given(st.floats(0.5, 10_000), st.lists(st.tuples(st.integers(1, 2_500), st.floats(0, 3)), min_size=1, max_size=50))
def test_never_more_than_the_rate_and_the_burst(rate: float, steps: list[tuple[int, float]]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(rate, burst=10, clock=clock)
    taken = 0
    for tokens, idle in steps:
        take(bucket, clock, tokens)
        taken += tokens
        assert taken <= rate * clock.monotonic() + 10 + 1e-6 * taken
        clock.advance(idle)


@given(st.floats(0.5, 10_000), st.lists(st.integers(1, 2_500), min_size=1, max_size=50))
def test_who_never_idles_gets_the_whole_rate(rate: float, sizes: list[int]) -> None:
    clock = ManualClock()
    bucket = TokenBucket(rate, burst=1, clock=clock)
    for size in sizes:
        take(bucket, clock, size)
    assert clock.monotonic() * rate == pytest.approx(sum(sizes) - 1, rel=1e-6, abs=1e-6)


def test_pauses_are_even() -> None:
    clock = ManualClock()
    bucket = TokenBucket(100, burst=10, clock=clock)
    assert [round(take(bucket, clock, 10), 6) for _ in range(5)] == [0, 0.1, 0.1, 0.1, 0.1]
    clock.advance(60)  # what was not used is not kept
    assert [round(take(bucket, clock, 10), 6) for _ in range(3)] == [0, 0.1, 0.1]


@pytest.mark.parametrize(("rate", "expected"), [(0, 1_000), (5, 1), (300, 30), (1_000_000, 1_000)])
def test_requests_are_a_tenth_of_a_second(rate: float, expected: int) -> None:
    assert Sending(rate=rate).request_events == expected
