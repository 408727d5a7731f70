"""The failure policy and the time budget of a step: empty columns and counts, never a lost event."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.metrics import MetricName, counter
from streams.enrich.guard import OFF_S, WINDOW_EVENTS, WINDOWS_IN_A_ROW, Guard
from streams.enrich.memo import Memo

BUDGET_US = 20
SLOW_US, QUICK_US = 21, 1


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Doubler:
    """Doubles numbers; those in `poison` make it raise."""

    blank = -1

    def __init__(self, clock: Clock, *, name: str, poison: frozenset[int] = frozenset()) -> None:
        self.name = name
        self.us_per_event = QUICK_US
        self.memo: Memo[int, int] = Memo(lambda number: 2 * number, size=100)
        self.calls = 0
        self._clock = clock
        self._poison = poison

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.calls += 1
        self._clock.now += len(batch) * self.us_per_event / 1e6
        if not self._poison.isdisjoint(batch):
            raise ZeroDivisionError("visitor 203.0.113.9")
        return [self.memo[number] for number in batch]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def step(clock: Clock, request: pytest.FixtureRequest) -> Doubler:
    return Doubler(clock, name=request.node.name, poison=frozenset({13}))


@pytest.fixture
def guard(step: Doubler, clock: Clock) -> Guard[int, int]:
    return Guard(step, budget_us=BUDGET_US, clock=clock)


def counted(name: MetricName, *labels: str) -> float:
    return float(counter(name).labels(*labels)._value.get())


def window(number: int = 1) -> list[int]:
    return [number] * WINDOW_EVENTS


def test_rows_are_those_of_the_step(guard: Guard[int, int], step: Doubler) -> None:
    assert guard([1, 2, 3, 1]) == [2, 4, 6, 2]
    assert counted("sluice_streams_enrich_events_total", step.name, "done") == 4
    assert counted("sluice_streams_enrich_cache_misses_total", step.name) == 3
    assert counted("sluice_streams_enrich_seconds_total", step.name) == pytest.approx(4e-6)


def test_a_failure_costs_the_event_that_it_is_about(
    guard: Guard[int, int], step: Doubler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert guard([1, 13, 2]) == [2, -1, 4]
        assert guard([13]) == [-1]
    assert counted("sluice_streams_enrich_events_total", step.name, "done") == 2
    assert counted("sluice_streams_enrich_events_total", step.name, "failed") == 2
    (said,) = caplog.records  # once a minute
    assert said.getMessage() == "enrich.step_failed"
    assert vars(said)["sluice_fields"] == {"step": step.name, "error": "ZeroDivisionError", "events": 1}


def test_a_step_that_gives_too_few_rows_shifts_none(clock: Clock) -> None:
    class Lazy(Doubler):
        def __call__(self, batch: Sequence[int]) -> list[int]:
            return super().__call__(batch)[:1]

    assert Guard(Lazy(clock, name="lazy"), budget_us=BUDGET_US, clock=clock)([1, 2]) == [2, 4]


def test_a_slow_step_is_switched_off_for_a_while(
    guard: Guard[int, int], step: Doubler, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    step.us_per_event = SLOW_US
    with caplog.at_level(logging.INFO):
        for _ in range(WINDOWS_IN_A_ROW):
            assert guard(window()) == window(2)
        assert guard(window()) == window(-1)
    assert step.calls == WINDOWS_IN_A_ROW
    assert counted("sluice_streams_enrich_over_budget_total", step.name) == 1
    assert counted("sluice_streams_enrich_events_total", step.name, "off") == WINDOW_EVENTS
    assert [record.getMessage() for record in caplog.records] == ["enrich.step_off"]
    clock.now += OFF_S
    assert guard(window()) == window(2), "tried again"


def test_a_moment_of_slowness_switches_nothing_off(guard: Guard[int, int], step: Doubler) -> None:
    for _ in range(5):
        for us in [*[SLOW_US] * (WINDOWS_IN_A_ROW - 1), QUICK_US]:
            step.us_per_event = us
            assert guard(window()) == window(2)
    assert counted("sluice_streams_enrich_over_budget_total", step.name) == 0


def test_small_batches_are_judged_together(guard: Guard[int, int], step: Doubler) -> None:
    """Ten events of which one is new to the caches are slow on average; a thousand are not."""
    for n in range(WINDOW_EVENTS * WINDOWS_IN_A_ROW // 10):
        step.us_per_event = SLOW_US if n % 2 else QUICK_US
        assert guard([1] * 10) == [2] * 10
    assert counted("sluice_streams_enrich_over_budget_total", step.name) == 0


def test_small_slow_batches_count_too(guard: Guard[int, int], step: Doubler) -> None:
    step.us_per_event = SLOW_US
    rows = [guard([1] * 10) for _ in range(WINDOW_EVENTS * WINDOWS_IN_A_ROW // 10 + 1)]
    assert rows[-2:] == [[2] * 10, [-1] * 10]


@given(st.lists(st.lists(st.integers(10, 16), max_size=20), max_size=20))
def test_there_is_a_row_for_every_event(batches: list[list[int]]) -> None:
    clock = Clock()
    guard = Guard(Doubler(clock, name="rows", poison=frozenset({13, 16})), budget_us=BUDGET_US, clock=clock)
    for batch in batches:
        assert guard(batch) == [-1 if number in {13, 16} else 2 * number for number in batch]
