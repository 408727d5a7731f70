"""Runs children in groups and keeps them running.

1. `start` starts the first group, and the next one when every child of it is ready. It returns when all are ready.
2. A child that ends by itself is started again, after a growing pause (`infra.backoff`), for as long as the supervisor
   runs. The others are left alone: they reconnect.
3. Before it was ever ready, a child gets three attempts, and only one if it ends with an exit code that says trying is
   useless (state folder, lock, configuration): `start` then stops everything and raises that child's error.
4. `stop` asks the last group to end, waits for it, then the group before it. A child that ignores the request is killed
   when its grace is over.

One thread of the supervisor's does all of it, because the kernel ends a child when the *thread* that started it ends.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from core.clock import Clock, SystemClock
from core.errors import InvariantError, SluiceError, UsageError
from core.log import get_logger
from infra.child_events import ChildEvent, ChildState, ChildStatus
from infra.process import Child, ChildSpec
from infra.supervised import Runnable, Supervised

log = get_logger(__name__)

# How late the end of a child is noticed. Looking costs one system call a child.
_TICK_S = 0.05
# `stop` waits for the thread this much longer than all graces: it is only late if a listener blocks.
_JOIN_SLACK_S = 30.0


class Supervisor:
    """Thread-safe. `on_event` is called from the supervisor's thread and must not block; what it raises is logged."""

    def __init__(
        self,
        groups: Sequence[Sequence[ChildSpec]],
        *,
        on_event: Callable[[ChildEvent], None] | None = None,
        clock: Clock | None = None,
        new_child: Callable[[ChildSpec], Runnable] = Child,
    ) -> None:
        self._on_event = on_event
        self._lock = threading.RLock()
        self._groups = [
            [Supervised(spec, new_child(spec), clock=clock or SystemClock(), emit=self._emit) for spec in group]
            for group in groups
        ]
        self._by_name = {child.spec.name: child for group in self._groups for child in group}
        if len(self._by_name) != sum(map(len, self._groups)):
            raise InvariantError("two children have the same name")
        self._started_groups = 0
        self._failure: SluiceError | None = None
        self._settled = threading.Event()  # all were ready once, or there is no hope
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> bool:
        """Start all groups; True when every child is ready, False if `stop` came first. To be called once.

        Raises:
            SluiceError: a child cannot be brought up, with the end of its log as hint. Everything is stopped again.
        """
        self._thread.start()
        try:
            self._settled.wait()
        except BaseException:  # a signal's handler raised: leave no half-started stack behind
            self.stop()
            raise
        if self._failure is not None:
            self.stop()
            raise self._failure
        return not self._stopping.is_set()

    def stop(self) -> None:
        """End all children, last group first; returns when they are gone. Harmless when repeated."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            graces = sum(max((c.spec.stop_grace_s for c in group), default=0.0) for group in self._groups)
            self._thread.join(graces + _JOIN_SLACK_S)

    def status(self) -> tuple[ChildStatus, ...]:
        """A snapshot of all children, in start order."""
        with self._lock:
            return tuple(child.status() for child in self._by_name.values())

    def kill(self, name: str) -> None:
        """kill -9, for fault tests. It is restarted like after any other fall."""
        self._send(name, signal.SIGKILL)

    def freeze(self, name: str) -> None:
        """SIGSTOP, for fault tests."""
        self._send(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        """SIGCONT, for fault tests."""
        self._send(name, signal.SIGCONT)

    def restart(self, name: str) -> None:
        """Ask it to end (SIGTERM); it is started again."""
        self._send(name, signal.SIGTERM)

    def step(self) -> None:
        """One look at every child. The thread calls it; tests with a fake clock call it themselves."""
        with self._lock:
            for group in self._groups[: self._started_groups]:
                for child in group:
                    child.step()
                    self._failure = self._failure or child.fatal
            if self._failure is not None:
                self._settled.set()
            elif all(c.state is ChildState.READY for group in self._groups[: self._started_groups] for c in group):
                self._start_next_group()

    def _start_next_group(self) -> None:
        if self._started_groups == len(self._groups):
            self._settled.set()
            return
        self._started_groups += 1
        for child in self._groups[self._started_groups - 1]:
            child.start()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self.step()
                self._stopping.wait(_TICK_S)
        except Exception:  # a defect of ours; children are stopped and `start` returns all the same
            log.exception("supervisor.failed")
            self._failure = InvariantError("the supervisor failed; its log has the trace")
        finally:
            self._settled.set()
            self._stop_all()

    def _stop_all(self) -> None:
        for group in reversed(self._groups):
            with self._lock:
                for child in group:
                    child.begin_stop()
            while not self._all_gone(group):
                threading.Event().wait(_TICK_S)

    def _all_gone(self, group: Sequence[Supervised]) -> bool:
        with self._lock:
            return all([child.step_stop() for child in group])  # noqa: C419 (every child must be looked at)

    def _send(self, name: str, number: signal.Signals) -> None:
        with self._lock:
            if name not in self._by_name:
                raise UsageError(f"there is no child {name}", hint=f"There are: {', '.join(self._by_name)}.")
            self._by_name[name].send(number)

    def _emit(self, event: ChildEvent) -> None:
        log.info("supervisor.event", what=type(event).__name__.lower(), detail=str(event))
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # a listener's defect must not take the children down
                log.exception("supervisor.listener_failed")
