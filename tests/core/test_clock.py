"""Clocks: the system's, and the one that moves when told."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from core.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_counts_milliseconds_of_utc() -> None:
    clock: Clock = SystemClock()
    assert abs(clock.now_ms() - time.time() * 1000) < 5_000
    before = clock.monotonic()
    time.sleep(0.002)
    assert 0.001 < clock.monotonic() - before < 5


@given(st.lists(st.floats(min_value=0, max_value=86_400), max_size=10))
def test_the_manual_clock_moves_by_what_it_is_told(steps: list[float]) -> None:
    clock = ManualClock(now_ms=1_000)
    for step in steps:
        clock.advance(step)
    assert abs(clock.monotonic() - sum(steps)) < 1e-6
    assert abs(clock.now_ms() - 1_000 - sum(steps) * 1000) <= len(steps) + 1


def test_a_step_of_the_wall_clock_leaves_deadlines_alone() -> None:
    clock: Clock = ManualClock()
    assert isinstance(clock, ManualClock)
    clock.advance(10)
    clock.set_wall(5)
    assert (clock.now_ms(), clock.monotonic()) == (5, 10.0)
