"""Ends the process when a call into a client library does not come back.

librdkafka's transactional calls take a time-out and, after certain connection losses, do not return when it is over
(seen: `send_offsets_to_transaction` for minutes, after answers were dropped). Nothing in the process can break such a
call; a restarted process fences it. Frozen processes (SIGSTOP) end here too when they wake up in the middle of a call,
which is harmless: what was not committed is done again.
"""

from __future__ import annotations

import faulthandler
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from core.errors import ExitCode
from core.log import get_logger

log = get_logger(__name__)

_TICK_S = 0.5


class Watchdog:
    """One per process; any number of threads may be inside `limit` at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[float, str]] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float, doing: str) -> Iterator[None]:
        """End the process with code 70 if the block takes longer than `seconds`."""
        entry = object()
        with self._lock:
            self._watched[entry] = (time.monotonic() + seconds, doing)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._watched[entry]

    def _run(self) -> None:
        while True:
            time.sleep(_TICK_S)
            now = time.monotonic()
            with self._lock:
                overdue = [doing for deadline, doing in self._watched.values() if deadline < now]
            if overdue:
                log.error("watchdog.call_stuck", doing=overdue)
                faulthandler.dump_traceback()
                os._exit(ExitCode.INTERNAL)


WATCHDOG = Watchdog()
