"""Asks one source again and again on a thread of its own and keeps its latest answer.

Whoever reads never waits: an answer has an age, and one that is too old counts as none. What is asked is not known
here.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from core.clock import Clock, SystemClock
from core.log import get_logger

log = get_logger(__name__)

T = TypeVar("T")

# A source may take this share of its own thread's time: what gets slow with size is asked less often.
_BUSY_SHARE = 0.03
# While nothing changes a source rests longer: asking costs the engines, too.
_IDLE_S = 1.5
# An answer older than this, or than three intervals, is not shown: the source is away or stuck.
STALE_S = 6.0


class Poller(Generic[T]):
    def __init__(
        self,
        name: str,
        ask: Callable[[], T],
        *,
        interval_s: float = 1.0,
        on_change: Callable[[], None] = lambda: None,
        clock: Clock | None = None,
    ) -> None:
        """`on_change` is called from the poller's thread after an answer that differs from the one before."""
        self.name = name
        self._ask = ask
        self._interval_s = interval_s
        self._clock = clock or SystemClock()
        self._on_change = on_change
        self._ended = threading.Event()
        self._nudged = threading.Event()
        self._failed = False
        # One reference, replaced as a whole: readers need no lock.
        self._answer: tuple[T, float, float] | None = None  # value, at, good until
        self._asked_at = self._clock.monotonic()
        self._thread = threading.Thread(target=self._run, name=f"poll-{name}", daemon=True)

    def start(self) -> None:
        self._asked_at = self._clock.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """Ask no more. Returns at once; a call under way ends by itself."""
        self._ended.set()
        self._nudged.set()

    def nudge(self) -> None:
        """Something has changed elsewhere: end the longer pause of an idle source."""
        self._nudged.set()

    def latest(self) -> T | None:
        """The last answer, however old. None before the first."""
        return None if self._answer is None else self._answer[0]

    def current(self) -> T | None:
        """The last answer if it is recent enough to be shown."""
        if self._answer is None or self._clock.monotonic() > self._answer[2]:
            return None
        return self._answer[0]

    def away(self) -> bool:
        """Whether it has not answered for too long."""
        return self.current() is None and self._clock.monotonic() - self._asked_at > STALE_S

    def once(self) -> tuple[float, float]:
        """Ask once; returns how long to wait before the next time, and how long beyond that if nothing happens."""
        began = self._clock.monotonic()
        try:
            value = self._ask()
        except Exception as error:  # noqa: BLE001 (whatever a client library raises: the source gave no answer)
            if not self._failed:
                log.warning("up.source_failed", source=self.name, error=str(error))
            self._failed = True
            return max(self._interval_s, 0.5), 0.0
        now = self._clock.monotonic()
        idle = self._answer is not None and self._answer[0] == value
        pause = max(self._interval_s, (now - began) / _BUSY_SHARE) if self._interval_s else 0.0
        self._answer = (value, now, now + max(STALE_S, 3 * pause))
        self._failed = False
        if not idle:
            self._on_change()
        return pause, _IDLE_S if idle and self._interval_s else 0.0

    def _run(self) -> None:
        while not self._ended.is_set():
            self._nudged.clear()
            pause, idle_pause = self.once()
            if not self._ended.wait(pause) and idle_pause:
                self._nudged.wait(idle_pause)
