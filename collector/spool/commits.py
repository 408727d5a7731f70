"""Group commit: all requests that wait while one sync runs share the next one. The disk is touched in a thread only.

A request's records are stored together or not at all. What is not stored is answered, never kept: the disk may be full,
broken or stuck, and the client is told to come back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

from collector.publisher import Failure, Fate, Record
from collector.spool import frames
from collector.spool.log import SpoolFailedError, SpoolFullError, SpoolLog
from core import metrics
from core.clock import Clock
from core.failpoints import hit
from core.log import get_logger

log = get_logger(__name__)

# A disk that takes longer is stuck. Shorter gives up on a disk that is only busy.
COMMIT_DEADLINE_S = 5.0
# After a failure the disk is left alone for this long, so that a broken one does not cost each request a system call.
FAILURE_PAUSE_S = 1.0
# Bounds what waits in memory for one sync.
MAX_WAITING_BYTES = 16 << 20

_NONE_STORED = None
Receipts = list[str] | None


class _Waiting(NamedTuple):
    records: Sequence[Record]
    bytes: int
    done: asyncio.Future[Receipts]


class GroupCommit:
    """Belongs to one event loop and owns the writing side of `log`."""

    def __init__(self, log_: SpoolLog, *, clock: Clock) -> None:
        self._log = log_
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._round: asyncio.Future[None] | None = None
        self._round_began = 0.0
        self._failed_at = -FAILURE_PAUSE_S
        self._trouble = ""
        self.stored = 0  # records, ever

    async def store(self, records: Sequence[Record]) -> Sequence[Fate]:
        """Returns when the records are synced, or will not be."""
        size = sum(map(frames.size, records))
        if self._hopeless(size):
            return [Failure.RETRY] * len(records)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(records, size, loop.create_future())
        self._waiting.append(waiting)
        self._waiting_bytes += size
        if self._round is None:
            self._begin_round(loop)
        deadline = loop.call_later(COMMIT_DEADLINE_S, _give_up, waiting.done)
        receipts = await waiting.done
        deadline.cancel()
        if receipts is None:
            return [Failure.RETRY] * len(records)
        return receipts

    @property
    def busy(self) -> bool:
        """Whether records wait for a sync, or one runs."""
        return self._round is not None

    def trouble(self) -> str:
        """Why the next `store` is likely to fail, "" if it is not."""
        if self._stuck():
            return f"the spool's disk has not answered for {COMMIT_DEADLINE_S:g} s"
        return self._trouble

    async def seal(self) -> None:
        """Between two rounds, delete what is drained and write no more to the file that was."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._log.seal)

    async def close(self) -> None:
        """Wait for what runs, then close the log. Nobody may store any more."""
        loop = asyncio.get_running_loop()
        if not self._stuck():
            while self._round is not None:
                await self._round
            await loop.run_in_executor(self._thread, self._log.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _hopeless(self, size: int) -> bool:
        return (
            self._clock.monotonic() - self._failed_at < FAILURE_PAUSE_S
            or self._waiting_bytes + size > MAX_WAITING_BYTES
            or self._stuck()
        )

    def _stuck(self) -> bool:
        return self._round is not None and self._clock.monotonic() - self._round_began > COMMIT_DEADLINE_S

    def _begin_round(self, loop: asyncio.AbstractEventLoop) -> None:
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._round = loop.create_future()
        self._round_began = self._clock.monotonic()
        running = loop.run_in_executor(self._thread, self._commit, [waiting.records for waiting in taken])
        running.add_done_callback(partial(self._end_round, taken))

    def _commit(self, requests: list[Sequence[Record]]) -> tuple[list[Receipts], str]:
        """In the thread. The receipts of each request, or None; and what was wrong."""
        now_ms = self._clock.now_ms()
        trouble = ""
        receipts: list[Receipts] = []
        for records in requests:
            try:
                receipts.append(self._log.append(records, now_ms=now_ms))
            except (SpoolFullError, SpoolFailedError) as error:
                receipts.append(_NONE_STORED)
                trouble = error.message
        try:
            hit("collector.before_spool_sync")
            self._log.commit()
            hit("collector.after_spool_sync")
        except SpoolFailedError as error:
            return [_NONE_STORED] * len(requests), error.message
        return receipts, trouble

    def _end_round(self, taken: list[_Waiting], running: asyncio.Future[tuple[list[Receipts], str]]) -> None:
        ended, self._round = self._round, None
        metrics.counter("sluice_collector_spool_fsyncs_total").inc()
        try:
            stored, trouble = running.result()
        except Exception as error:
            log.exception("spool.commit_failed")
            stored, trouble = [_NONE_STORED] * len(taken), f"the spool failed: {error}"
        for waiting, receipts in zip(taken, stored, strict=True):
            self._count(receipts)
            if not waiting.done.done():
                waiting.done.set_result(receipts)
        self._remember(trouble)
        if self._waiting:
            self._begin_round(running.get_loop())
        if ended is not None:
            ended.set_result(None)

    def _count(self, receipts: Receipts) -> None:
        if receipts is not None:
            self.stored += len(receipts)
            metrics.counter("sluice_collector_spool_stored_total").inc(len(receipts))

    def _remember(self, trouble: str) -> None:
        if trouble:
            self._failed_at = self._clock.monotonic()
        if trouble != self._trouble:
            if trouble:
                log.error("spool.trouble", trouble=trouble)
            else:
                log.info("spool.recovered")
            self._trouble = trouble


def _give_up(done: asyncio.Future[Receipts]) -> None:
    if not done.done():
        done.set_result(_NONE_STORED)
