"""The thread that sends, beside the one that reads: parsing goes on while a request is under way.

1. `put` hands over a batch, and waits while `QUEUED_BATCHES` are already waiting: memory is bounded by that.
2. Batches are settled in the order of `put`, each wholly before the next is begun.
3. `close` returns when all are settled. `stop` lets the request under way finish and drops the rest; `abandon` is
   `stop` without waiting for it, and harmless after either.
4. An error of the sending side is raised by the next `put`, by `close`, or by `stop`, once.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from cli.importer.batches import Batch

QUEUED_BATCHES = 2
_POLL_SECONDS = 0.1


class Outbox:
    def __init__(self, settle: Callable[[Batch], None], *, stopping: threading.Event) -> None:
        self._settle = settle
        self._stopping = stopping
        self._queue: queue.Queue[Batch | None] = queue.Queue(QUEUED_BATCHES)
        self._error: BaseException | None = None
        # `Thread.join` is no way to wait here: interrupted by Ctrl-C, it takes the thread for ended.
        self._ended = threading.Event()
        # A daemon: a second Ctrl-C ends the process even while a request hangs.
        threading.Thread(target=self._run, name="import-sender", daemon=True).start()

    def put(self, batch: Batch) -> None:
        self._put(batch)

    def close(self) -> None:
        self._put(None)
        self._wait()

    def stop(self) -> None:
        self.abandon()
        self._wait()

    def abandon(self) -> None:
        self._stopping.set()

    def _put(self, item: Batch | None) -> None:
        while not self._ended.is_set():
            try:
                self._queue.put(item, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                continue
        self._wait()

    def _wait(self) -> None:
        # In short waits: one without a limit may sleep through an interruption.
        while not self._ended.wait(_POLL_SECONDS):
            pass
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    batch = self._queue.get(timeout=_POLL_SECONDS)
                except queue.Empty:
                    continue
                if batch is None:
                    return
                self._settle(batch)
        except BaseException as error:  # noqa: BLE001 (raised again in the reading thread by _wait)
            self._error = error
        finally:
            self._ended.set()
