"""Inserts under way, each in a thread: the worker goes on polling, and the engine has more than one block to do.

Only first, certain sends come here. What a block's plan, token and place in its partition promise is told partition by
partition, so that two partitions' inserts may run at once, as those of two sinks always could. What is in doubt is
settled by the worker itself, once nothing of its own is under way.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from core.log import get_logger
from sinks.partition import PartitionBuffer

log = get_logger(__name__)


class Inserts:
    """Every method belongs to one thread. A buffer has one insert under way at most."""

    def __init__(self, places: int) -> None:
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="insert")
        self._running: list[tuple[PartitionBuffer, Future[None]]] = []

    def begin(self, buffer: PartitionBuffer, insert: Callable[[], None]) -> None:
        self._running.append((buffer, self._threads.submit(insert)))

    @property
    def under_way(self) -> list[PartitionBuffer]:
        """Whose insert was begun and not told as ended."""
        return [buffer for buffer, _ in self._running]

    def ended(self) -> list[tuple[PartitionBuffer, BaseException | None]]:
        """Each insert that has ended since, told once, with what it raised."""
        done = [each for each in self._running if each[1].done()]
        self._running = [each for each in self._running if each not in done]
        return [(buffer, future.exception()) for buffer, future in done]

    def wait(self) -> None:
        """Until all have ended. The client's time-outs bound it."""
        wait([future for _, future in self._running])

    def finish(self, buffer: PartitionBuffer) -> bool:
        """Wait for the insert of `buffer` and forget it; whether there was one and it went well."""
        futures = [future for of, future in self._running if of is buffer]
        self._running = [each for each in self._running if each[0] is not buffer]
        wait(futures)
        errors = [future.exception() for future in futures]
        for error in errors:
            if error is not None:
                log.warning("sink.insert_in_doubt", topic=buffer.topic, partition=buffer.number, error=str(error))
        return errors == [None]
