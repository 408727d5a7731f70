"""A source is asked on its own thread: a reader never waits, and an old answer is none."""

from __future__ import annotations

import threading
import time

from cli.up.poller import STALE_S, Poller
from core.clock import ManualClock
from tests.infra.children import eventually


def test_an_answer_has_an_age() -> None:
    clock = ManualClock()
    poller = Poller("x", lambda: 7, clock=clock)
    assert (poller.current(), poller.latest(), poller.away()) == (None, None, False)
    poller.once()
    assert (poller.current(), poller.away()) == (7, False)
    clock.advance(STALE_S + 0.1)
    assert (poller.current(), poller.latest(), poller.away()) == (None, 7, True)


def test_a_source_that_fails_is_asked_again() -> None:
    answers = iter([7])
    poller = Poller("x", lambda: next(answers), clock=ManualClock())
    poller.once()
    poller.once()  # StopIteration: whatever a source raises
    assert poller.latest() == 7


def test_a_slow_source_is_asked_less_often() -> None:
    clock = ManualClock()
    poller = Poller("x", lambda: clock.advance(2.0), clock=clock)
    assert poller.once()[0] > 60


def test_a_source_that_says_the_same_is_asked_less_often() -> None:
    answers = iter([1, 1, 2])
    changes: list[int] = []
    poller = Poller(
        "x", lambda: next(answers), interval_s=1.0, on_change=lambda: changes.append(1), clock=ManualClock()
    )
    assert [sum(poller.once()) for _ in range(3)] == [1.0, 2.5, 1.0]
    assert len(changes) == 2


def test_a_nudge_ends_the_longer_pause() -> None:
    asked: list[float] = []

    def ask() -> int:
        asked.append(time.monotonic())
        return 1

    poller = Poller("x", ask, interval_s=0.01)
    poller.start()
    # From the second time on it is idle.
    assert eventually(lambda: len(asked) == 2)
    time.sleep(0.2)
    assert len(asked) == 2
    poller.nudge()
    assert eventually(lambda: len(asked) == 3, within_s=0.8)
    poller.stop()


def test_a_source_that_hangs_holds_up_nobody() -> None:
    hang = threading.Event()
    poller = Poller("x", hang.wait)
    poller.start()
    began = time.monotonic()
    assert poller.current() is None
    poller.stop()
    assert time.monotonic() - began < 0.2
    hang.set()
