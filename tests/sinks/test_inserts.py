"""Inserts under way in threads: several at once, each told once, waited for where a partition goes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from sinks.inserts import Inserts
from sinks.partition import PartitionBuffer

PATIENCE_S = 30.0


class Held:
    """Inserts that end when they are told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()

    def insert(self, error: Exception | None = None) -> Callable[[], None]:
        def run() -> None:
            self.begun.release()
            assert self.may_end.wait(PATIENCE_S)
            if error is not None:
                raise error

        return run


@pytest.fixture
def held() -> Held:
    return Held()


def buffers(count: int) -> list[PartitionBuffer]:
    return [PartitionBuffer("t", number, 0) for number in range(count)]


def test_they_run_at_once_and_each_end_is_told_once(held: Held) -> None:
    inserts, (one, other) = Inserts(2), buffers(2)
    wrong = ValueError("no")
    inserts.begin(one, held.insert())
    inserts.begin(other, held.insert(wrong))
    assert all(held.begun.acquire(timeout=PATIENCE_S) for _ in range(2)), "the second did not wait for the first"
    assert inserts.under_way == [one, other]
    assert inserts.ended() == []
    held.may_end.set()
    inserts.wait()
    assert inserts.ended() == [(one, None), (other, wrong)]
    assert inserts.ended() == []
    assert inserts.under_way == []


@pytest.mark.parametrize("error", [None, ValueError("no")])
def test_the_insert_of_a_partition_that_goes_is_waited_for(held: Held, error: Exception | None) -> None:
    inserts, (going, other) = Inserts(2), buffers(2)
    inserts.begin(going, held.insert(error))
    timer = threading.Timer(0.05, held.may_end.set)
    timer.start()
    assert inserts.finish(going) is (error is None)
    assert held.may_end.is_set()
    assert inserts.ended() == []
    assert inserts.finish(other) is False, "nothing was under way"
    timer.join()
