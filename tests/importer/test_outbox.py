"""The promises of the outbox, as its module states them."""

from __future__ import annotations

import threading

import pytest

from cli.importer.batches import Batch
from cli.importer.outbox import QUEUED_BATCHES, Outbox


def batch(number: int) -> Batch:
    return Batch(bytes_read=number)


def test_batches_are_settled_in_order_and_close_waits() -> None:
    settled: list[int] = []
    outbox = Outbox(lambda item: settled.append(item.bytes_read), stopping=threading.Event())
    for number in range(20):
        outbox.put(batch(number))
    outbox.close()
    assert settled == list(range(20))


def test_put_waits_when_enough_are_queued() -> None:
    go = threading.Event()
    put: list[int] = []

    def wait(_: Batch) -> None:
        go.wait(10)

    outbox = Outbox(wait, stopping=threading.Event())

    def feed() -> None:
        for number in range(10):
            outbox.put(batch(number))
            put.append(number)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.3)
    assert len(put) <= QUEUED_BATCHES + 1
    go.set()
    feeder.join(10)
    outbox.close()
    assert len(put) == 10


def test_an_error_reaches_the_reader_once() -> None:
    def fail(_: Batch) -> None:
        raise OSError("broken")

    outbox = Outbox(fail, stopping=threading.Event())
    outbox.put(batch(0))
    with pytest.raises(OSError, match="broken"):
        outbox.close()
    outbox.stop()


def test_an_error_reaches_a_reader_that_waits_for_room() -> None:
    go = threading.Event()

    def fail(_: Batch) -> None:
        go.wait(10)
        raise OSError("broken")

    outbox = Outbox(fail, stopping=threading.Event())
    for number in range(QUEUED_BATCHES):
        outbox.put(batch(number))
    threading.Timer(0.05, go.set).start()
    with pytest.raises(OSError, match="broken"):
        put_until_full(outbox)


def put_until_full(outbox: Outbox) -> None:
    for number in range(10):
        outbox.put(batch(number))


def test_stop_finishes_the_batch_under_way_and_drops_the_rest() -> None:
    began, go = threading.Event(), threading.Event()
    settled: list[int] = []

    def settle(item: Batch) -> None:
        began.set()
        go.wait(10)
        settled.append(item.bytes_read)

    outbox = Outbox(settle, stopping=threading.Event())
    outbox.put(batch(0))
    outbox.put(batch(1))
    began.wait(10)
    threading.Timer(0.05, go.set).start()
    outbox.stop()
    assert settled == [0]
