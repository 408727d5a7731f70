"""The state machine of one supervised child. Time comes in from outside and nothing here waits.

    WAITING → STARTING → READY → BACKOFF → STARTING …        STOPPING → STOPPED from any of them
                  └──────────────┘  (it fell, or was not ready in time)

Knows nothing of other children: order and threads are the supervisor's.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Protocol

from core.clock import Clock
from core.errors import ExitCode, SluiceError, StateError
from infra.backoff import Backoff
from infra.child_events import (
    ChildEvent,
    ChildState,
    ChildStatus,
    Exited,
    Ready,
    Restarting,
    Started,
    Stopped,
)
from infra.process import ChildSpec

# Trying again does not help a child that ends its first start with one of these.
_HOPELESS = frozenset({ExitCode.STATE, ExitCode.LOCKED, ExitCode.CONFIG})
# A child that was never ready may have lost a race once; three times is its own fault.
FIRST_START_ATTEMPTS = 3
_LONGEST_PATIENCE_DOUBLINGS = 5


class Runnable(Protocol):
    """What a supervised child can do: `infra.process.Child`, or a fake in tests."""

    @property
    def pid(self) -> int | None: ...
    def start(self) -> None: ...
    def poll(self) -> int | None: ...
    def is_ready(self) -> bool: ...
    def reason(self) -> str: ...
    def failure(self) -> SluiceError: ...
    def send(self, number: signal.Signals) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Supervised:
    """One child. `fatal` is set once it is clear, before it was ever ready, that it will not come up."""

    def __init__(self, spec: ChildSpec, child: Runnable, *, clock: Clock, emit: Callable[[ChildEvent], None]) -> None:
        self.spec = spec
        self.fatal: SluiceError | None = None
        self._child = child
        self._clock = clock
        self._emit = emit
        self._backoff = Backoff()
        self._state = ChildState.WAITING
        self._since_ms = clock.now_ms()
        self._at = 0.0  # monotonic: started, or to be started (BACKOFF), or asked to stop
        self._restarts = 0
        self._last_reason = ""
        self._falls_before_ready = 0
        self._was_ready = False
        self._timeouts = 0
        self._overdue: SluiceError | None = None  # what it was killed for while starting

    @property
    def state(self) -> ChildState:
        return self._state

    def status(self) -> ChildStatus:
        running = self._state in {ChildState.STARTING, ChildState.READY, ChildState.STOPPING}
        pid = self._child.pid if running else None
        return ChildStatus(self.spec.name, pid, self._state, self._restarts, self._last_reason, self._since_ms)

    def start(self) -> None:
        self._at = self._clock.monotonic()
        self._overdue = None
        self._enter(ChildState.STARTING)
        try:
            self._child.start()
        except StateError as error:
            self._fell(error.message, error, hopeless=True)
            return
        self._emit(Started(self.spec.name, self._child.pid or 0))

    def step(self) -> None:
        """Look once, act once. Called again and again while supervised."""
        if self._state in {ChildState.STARTING, ChildState.READY}:
            code = self._child.poll()
            if code is not None and self._overdue is not None:
                self._fell(self._overdue.message, self._overdue, hopeless=True)
            elif code is not None:
                self._fell(self._child.reason(), self._child.failure(), hopeless=code in _HOPELESS)
            elif self._state is ChildState.STARTING:
                self._check_ready()
        elif self._state is ChildState.BACKOFF and self.fatal is None and self._clock.monotonic() >= self._at:
            self._restarts += 1
            self.start()

    def send(self, number: signal.Signals) -> None:
        self._child.send(number)

    def begin_stop(self) -> None:
        if self._state in {ChildState.STARTING, ChildState.READY}:
            self._at = self._clock.monotonic()
            self._enter(ChildState.STOPPING)
            self._child.terminate()
        elif self._state is not ChildState.STOPPING:
            told = self._state is ChildState.BACKOFF
            self._enter(ChildState.STOPPED)
            if told:
                self._emit(Stopped(self.spec.name))

    def step_stop(self) -> bool:
        """Whether it is gone; kills it when its grace is over."""
        if self._state is ChildState.STOPPING:
            if self._child.poll() is not None:
                self._enter(ChildState.STOPPED)
                self._emit(Stopped(self.spec.name))
            elif self._clock.monotonic() - self._at > self.spec.stop_grace_s:
                self._last_reason = f"killed: not gone {self.spec.stop_grace_s:g} s after SIGTERM"
                self._child.kill()
        return self._state is ChildState.STOPPED

    def _check_ready(self) -> None:
        waited = self._clock.monotonic() - self._at
        # Each time-out in a row doubles the patience: a recovery that takes long must not be cut off for ever.
        patience = self.spec.ready_timeout_s * 2 ** min(self._timeouts, _LONGEST_PATIENCE_DOUBLINGS)
        if self._child.is_ready():
            self._was_ready, self._timeouts = True, 0
            self._enter(ChildState.READY)
            self._emit(Ready(self.spec.name, waited))
        elif waited > patience and self._overdue is None:
            self._timeouts += 1
            self._overdue = self._child.failure()
            self._child.kill()  # its end is seen by a later step; a successor must not meet it

    def _fell(self, reason: str, error: SluiceError, *, hopeless: bool) -> None:
        self._last_reason = reason
        self._emit(Exited(self.spec.name, reason))
        now = self._clock.monotonic()
        delay = self._backoff.after(now - self._at)
        self._at = now + delay
        self._enter(ChildState.BACKOFF)
        if not self._was_ready:
            self._falls_before_ready += 1
            if hopeless or self._falls_before_ready >= FIRST_START_ATTEMPTS:
                self.fatal = error
                return
        self._emit(Restarting(self.spec.name, delay))

    def _enter(self, state: ChildState) -> None:
        self._state = state
        self._since_ms = self._clock.now_ms()
