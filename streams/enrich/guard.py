"""A step's time budget and failure policy. What a step cannot do is left empty and counted; no event is dropped.

- A step that raises for a batch is asked again for each event by itself: only the events that it cannot do are left
  empty.
- A step that is over its budget, on average of a window of events and several windows in a row, is switched off for a
  minute. One slow batch is none: a cold cache, a database file that is opened, a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from core.log import get_logger
from core.metrics import counter
from streams.enrich.memo import Memo

log = get_logger(__name__)

# Small batches are pooled: of ten events one new user agent would decide.
WINDOW_EVENTS = 1_000
# Fewer, and a hiccup switches off; more, and a slow step holds the worker up for longer.
WINDOWS_IN_A_ROW = 3
OFF_S = 60.0

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)
R = TypeVar("R")


class Step(Protocol[T_contra, R]):
    """Turns a batch into as many rows, in order. The same item is the same row, whatever is beside it."""

    @property
    def name(self) -> str: ...
    @property
    def blank(self) -> R:
        """What stands where the step did not run or failed."""

    @property
    def memo(self) -> Memo[Any, Any]: ...

    def __call__(self, batch: Sequence[T_contra], /) -> list[R]: ...


class Guard(Generic[T, R]):
    """Runs a step and never raises for what the step does."""

    def __init__(self, step: Step[T, R], *, budget_us: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._step = step
        self._budget_us = budget_us
        self._clock = clock
        self._off_until = float("-inf")
        self._silent_until = float("-inf")
        self._spent_s = 0.0
        self._events = 0
        self._windows_over = 0
        self._misses = step.memo.misses
        # Label lookups cost as much as the counting, once a batch and step.
        events = counter("sluice_streams_enrich_events_total")
        self._done = events.labels(step.name, "done")
        self._failed = events.labels(step.name, "failed")
        self._off = events.labels(step.name, "off")
        self._seconds = counter("sluice_streams_enrich_seconds_total").labels(step.name)
        self._missed = counter("sluice_streams_enrich_cache_misses_total").labels(step.name)
        self._over_budget = counter("sluice_streams_enrich_over_budget_total").labels(step.name)

    def __call__(self, batch: Sequence[T]) -> list[R]:
        started = self._clock()
        if started < self._off_until:
            self._off.inc(len(batch))
            return [self._step.blank] * len(batch)
        try:
            rows, failed = self._rows(batch), 0
        except Exception:  # noqa: BLE001 (whatever it is, it must not cost the batch)
            rows, failed = self._one_by_one(batch)
        now = self._clock()
        self._count(len(batch), failed=failed, seconds=now - started)
        self._judge(len(batch), now - started, now)
        return rows

    def _rows(self, batch: Sequence[T]) -> list[R]:
        rows = self._step(batch)
        if len(rows) != len(batch):
            raise ValueError("a step gave another number of rows")
        return rows

    def _one_by_one(self, batch: Sequence[T]) -> tuple[list[R], int]:
        rows: list[R] = []
        failed = 0
        error: Exception | None = None
        for item in batch:
            try:
                rows += self._rows([item])
            except Exception as caught:  # noqa: BLE001 (one event's failure is that event's)
                rows.append(self._step.blank)
                failed += 1
                error = error or caught
        if error is not None:
            self._say_failed(error, failed)
        return rows, failed

    def _say_failed(self, error: Exception, failed: int) -> None:
        now = self._clock()
        if now >= self._silent_until:
            self._silent_until = now + OFF_S
            # The type only: a message may hold what a visitor sent.
            log.error("enrich.step_failed", step=self._step.name, error=type(error).__name__, events=failed)

    def _count(self, events: int, *, failed: int, seconds: float) -> None:
        self._done.inc(events - failed)
        self._failed.inc(failed)
        self._seconds.inc(seconds)
        misses = self._step.memo.misses
        self._missed.inc(misses - self._misses)
        self._misses = misses

    def _judge(self, events: int, seconds: float, now: float) -> None:
        self._events += events
        self._spent_s += seconds
        if self._events < WINDOW_EVENTS:
            return
        average_us = self._spent_s / self._events * 1e6
        self._events, self._spent_s = 0, 0.0
        self._windows_over = self._windows_over + 1 if average_us > self._budget_us else 0
        if self._windows_over >= WINDOWS_IN_A_ROW:
            self._windows_over = 0
            self._off_until = now + OFF_S
            self._over_budget.inc()
            log.warning(
                "enrich.step_off",
                step=self._step.name,
                us_per_event=round(average_us, 1),
                budget_us=self._budget_us,
                seconds=OFF_S,
            )
