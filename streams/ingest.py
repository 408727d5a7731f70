"""The Faust service that runs the engine's poll loop in a thread and hands its batches to an agent's channel."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from mode import Service

from core.lifecycle import Lifecycle, die
from streams.control import WorkerControl
from streams.engine import Batch, StreamEngine

_PUT_POLL_S = 0.5
_STOP_TIMEOUT_S = 30


class Ingest(Service):
    """Lives as long as the worker. A failure of its thread ends the process: a thread that dies alone leaves one that
    looks alive and consumes nothing.
    """

    _engine: StreamEngine
    _control: WorkerControl
    _batches: Any
    _lifecycle: Lifecycle

    async def on_start(self) -> None:
        self._thread = threading.Thread(target=self._guarded, name="streams-poll", daemon=True)
        self._thread.start()

    async def on_stop(self) -> None:
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join, _STOP_TIMEOUT_S)

    def _guarded(self) -> None:
        try:
            self._run()
        # Out of a rebalance callback librdkafka's binding raises a bare KafkaError, which is not even a BaseException.
        except:  # noqa: E722 (as said; ends the process)
            die("streams.poll_failed")

    def _run(self) -> None:
        self._control.catch_up()
        self._engine.start()
        announced = False
        while not self.should_stop:
            self._control.poll()
            batch = self._engine.poll()
            if not announced and self._engine.joined:
                announced = True
                self._lifecycle.ready()
            if batch is not None:
                self._put(batch)
        self._engine.stop()
        self._control.close()

    def _put(self, batch: Batch) -> None:
        """Wait for room on the channel. While the worker stops nobody takes it: the batch is dropped, uncommitted."""
        waiting = asyncio.run_coroutine_threadsafe(self._batches.put(batch), self.loop)
        while not self.should_stop:
            try:
                waiting.result(_PUT_POLL_S)
                return
            except FutureTimeoutError:
                continue
        waiting.cancel()


def ingest_service(engine: StreamEngine, control: WorkerControl, batches: Any, lifecycle: Lifecycle) -> type[Ingest]:
    """The service class bound to its parts, as `app.service` takes it."""
    bound = {
        "_engine": engine,
        "_control": control,
        "_batches": batches,
        "_lifecycle": lifecycle,
        "__module__": __name__,
    }
    return type("BoundIngest", (Ingest,), bound)
