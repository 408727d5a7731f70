"""Draining: order, pace, what is refused, and what a crash between two steps costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from collector.publisher import Failure, Fate, Record
from collector.spool import drain
from collector.spool.drain import Drain, Step
from collector.spool.log import SpoolLog
from core.clock import ManualClock
from tests.collector.spool.disks import FailingDisk


class Taker:
    """Stands for Kafka: `answer` says what becomes of each batch, by default everything is taken."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.aside: list[tuple[bytes, str]] = []
        self.answer: Callable[[Sequence[Record]], Sequence[Fate]] = lambda records: ["taken"] * len(records)

    async def send(self, records: Sequence[Record]) -> Sequence[Fate]:
        self.batches.append([record.value for record in records])
        return self.answer(records)

    def set_aside(self, record: Record, reason: str) -> None:
        self.aside.append((record.value, reason))

    @property
    def values(self) -> list[bytes]:
        return [value for batch in self.batches for value in batch]


class _ProcessEndedError(Exception):
    pass


def _the_process_ends_here(_: Sequence[Record]) -> Sequence[Fate]:
    raise _ProcessEndedError


@pytest.fixture
def taker() -> Taker:
    return Taker()


@pytest.fixture
def log(tmp_path: Path) -> SpoolLog:
    return opened(tmp_path)


def opened(folder: Path) -> SpoolLog:
    return SpoolLog(folder, max_bytes=1 << 20, disk=FailingDisk())


def fill(log: SpoolLog, count: int) -> list[bytes]:
    records = [Record(b"k", b"%d" % number) for number in range(count)]
    log.append(records, now_ms=1)
    log.commit()
    return [record.value for record in records]


def drained(log: SpoolLog, taker: Taker, *, steps: int = 100, rate: float = 1e9) -> list[Step]:
    async def inside() -> list[Step]:
        made = Drain(send=taker.send, set_aside=taker.set_aside, rate=rate, clock=ManualClock())
        found: list[Step] = []
        while len(found) < steps and (not found or found[-1] is Step.MOVED):
            found.append(await made.step(log))
        return found

    return asyncio.run(inside())


def test_everything_in_order(log: SpoolLog, taker: Taker) -> None:
    values = fill(log, 1_234)
    assert drained(log, taker)[-1] is Step.EMPTY
    assert taker.values == values
    assert log.empty


def test_the_first_batch_is_small_until_kafka_has_taken_one(log: SpoolLog, taker: Taker) -> None:
    """A frozen Kafka gets each probe when it wakes up, and all of them are doubles."""
    fill(log, 500)
    taker.answer = lambda records: [Failure.RETRY] * len(records)
    for _ in range(3):
        assert drained(log, taker, steps=1) == [Step.NOT_TAKEN]
    assert len(taker.values) == 3 * drain.FIRST_BATCH_RECORDS


def test_a_batch_that_failed_in_part_comes_again_whole(log: SpoolLog, taker: Taker) -> None:
    values = fill(log, 5)
    taker.answer = lambda _: ["taken", Failure.RETRY, "taken", "taken", "taken"]
    assert drained(log, taker, steps=1) == [Step.NOT_TAKEN]
    taker.answer = lambda records: ["taken"] * len(records)
    drained(log, taker)
    assert taker.values == values + values


def test_a_crash_before_the_acknowledgement_sends_it_again(tmp_path: Path, log: SpoolLog, taker: Taker) -> None:
    values = fill(log, 60)
    assert drained(log, taker, steps=1) == [Step.MOVED]
    again = opened(tmp_path)  # and not closed before
    drained(again, taker)
    assert taker.values == values
    once_more = Taker()
    fill(again, 3)
    once_more.answer = _the_process_ends_here
    with pytest.raises(_ProcessEndedError):
        drained(again, once_more)
    drained(opened(tmp_path), taker)
    assert taker.values == [*values, b"0", b"1", b"2"]


def test_what_is_refused_for_its_size_is_tried_alone_then_set_aside(
    log: SpoolLog, taker: Taker, caplog: pytest.LogCaptureFixture
) -> None:
    fill(log, 6)

    def answer(records: Sequence[Record]) -> list[Fate]:
        too_large = {b"2", b"4"} if len(records) > 1 else {b"4"}
        return [Failure.TOO_LARGE if record.value in too_large else "taken" for record in records]

    taker.answer = answer
    assert drained(log, taker)[-1] is Step.EMPTY
    assert taker.batches[1:] == [[b"2"], [b"4"]]
    assert taker.aside == [(b"4", drain.REFUSED)]
    caplog.clear()


def test_what_cannot_be_set_aside_is_not_dropped(log: SpoolLog, taker: Taker) -> None:
    fill(log, 1)
    taker.answer = lambda _: [Failure.TOO_LARGE]

    def fails(_record: Record, _reason: str) -> None:
        raise OSError(28, "No space left on device")

    taker.set_aside = fails  # type: ignore[method-assign,assignment]
    with pytest.raises(OSError, match="No space"):
        drained(log, taker)
    assert not log.empty


@pytest.mark.parametrize(("arrivals", "seconds"), [(0, 2.0), (1, 1.0), (3, 0.0)])
def test_the_rate_is_on_top_of_twice_what_arrives(
    log: SpoolLog, taker: Taker, monkeypatch: pytest.MonkeyPatch, arrivals: int, seconds: float
) -> None:
    """`arrivals` records arrive for each 4 that are drained; 2,000 are, at 1,000 a second."""
    monkeypatch.setattr(drain, "BATCH_RECORDS", 50)
    fill(log, 2_000)
    clock = ManualClock()
    slept = 0.0

    async def sleep(pause: float) -> None:
        nonlocal slept
        slept += pause
        clock.advance(pause)

    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def inside() -> None:
        made = Drain(
            send=taker.send,
            set_aside=taker.set_aside,
            rate=1_000,
            clock=clock,
            arrived=lambda: len(taker.values) * arrivals // 4,
        )
        while await made.step(log) is Step.MOVED:
            pass

    asyncio.run(inside())
    assert slept == pytest.approx(seconds, abs=0.2)
