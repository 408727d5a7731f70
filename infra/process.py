"""One child process: what it is (`ChildSpec`) and its life from start to end (`Child`).

Promises: a child never outlives its parent, however the parent ends (Linux); a terminal's Ctrl-C reaches the parent
only; a child that ends before it is ready is noticed at once and says why. Decides nothing about restarts: see
`infra.supervisor`.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.errors import (
    ConfigError,
    DiskFullError,
    ExitCode,
    SluiceError,
    StateError,
    StateLockedError,
    UnavailableError,
)
from core.log import get_logger
from infra.child_log import ChildLog
from infra.readiness import NotifyReadiness, ProbeReadiness

log = get_logger(__name__)

_EXEC_CHILD = Path(__file__).with_name("exec_child.py")
_POLL_S = 0.02
# Shells and the JVM report a fatal signal as 128 + its number.
_SIGNAL_EXIT = 128
_ERRORS: dict[int, type[SluiceError]] = {
    ExitCode.CONFIG: ConfigError,
    ExitCode.DISK_FULL: DiskFullError,
    ExitCode.LOCKED: StateLockedError,
    ExitCode.STATE: StateError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run and what to expect of it.

    `env` is the child's whole environment; nothing is inherited. `ready` is "notify" for processes that announce
    `READY=1` themselves (`core.lifecycle`), or a function that answers whether the child serves now; it is called
    from a thread of its own, may block for seconds and must not raise. After SIGTERM the child has `stop_grace_s`.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # may hold secrets
    log_path: Path
    cwd: Path | None = None
    ready: Literal["notify"] | Callable[[], bool] = "notify"
    ready_timeout_s: float = 30.0
    stop_grace_s: float = 15.0


class Child:
    """Not thread-safe. Start it from a thread that lives as long as the child should: the kernel ties a child to the
    *thread* that started it."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self._log = ChildLog(spec.log_path)
        self._process: subprocess.Popen[bytes] | None = None
        self._readiness: NotifyReadiness | ProbeReadiness | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs, and after its end until it is started again."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; returns before it is ready.

        Raises:
            StateError: the log or the working folder cannot be used.
        """
        ready = self.spec.ready
        self._readiness = NotifyReadiness() if ready == "notify" else ProbeReadiness(ready)
        argv = [sys.executable, "-IS", str(_EXEC_CHILD), str(os.getpid()), *self.spec.argv]
        try:
            with self._log.open_for_child() as output:
                self._process = subprocess.Popen(
                    argv,
                    env={**self.spec.env, **self._readiness.env},
                    cwd=self.spec.cwd,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as error:
            self._readiness.close()
            raise StateError(f"{self.spec.name} cannot be started: {error}") from error
        self._readiness.begin()
        log.info("child.started", name=self.spec.name, pid=self._process.pid)

    def poll(self) -> int | None:
        """None while it runs, then its return code (negative: the signal that ended it)."""
        if self._process is None:
            return None
        code = self._process.poll()
        if code is not None and self._readiness:
            self._readiness.close()
        return code

    def is_ready(self) -> bool:
        """Whether it has been ready since its latest start. Never blocks."""
        return self._readiness is not None and self._readiness.reached()

    def wait_ready(self) -> None:
        """Block until it is ready. For callers without a supervisor; stops the child when it gives up.

        Raises:
            SluiceError: it ended, or its time was up; with the last lines of its log as hint.
        """
        deadline = time.monotonic() + self.spec.ready_timeout_s
        while not self.is_ready():
            if self.poll() is not None:
                raise self.failure()
            if time.monotonic() > deadline:
                error = self.failure()
                self.stop()
                raise error
            time.sleep(_POLL_S)

    def failure(self) -> SluiceError:
        """Why it is not (or no longer) there, as the error of its exit code. The hint holds its last log lines."""
        code = self.poll()
        name, tail = self.spec.name, "\n".join(self._log.tail(8))
        hint = f"{tail}\n(log: {self._log.path})" if tail else f"Its log is {self._log.path}."
        if code is None:
            return UnavailableError(f"{name} was not ready within {self.spec.ready_timeout_s:g} s", hint=hint)
        return _ERRORS.get(code, UnavailableError)(f"{name} ended: {self.reason()}", hint=hint)

    def reason(self) -> str:
        """How it ended and the error it logged last, in words. Empty while it runs."""
        code = self.poll()
        if code is None:
            return ""
        said = self._log.last_error()
        if not said and code > 0 and _signal(code) is None:
            said = "".join(self._log.tail(1))
        return f"{describe_exit(code)}, after: {said}" if said else describe_exit(code)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def terminate(self) -> None:
        """Ask it to end: SIGTERM, also when it is frozen by SIGSTOP."""
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        self.send(signal.SIGKILL)

    def stop(self) -> None:
        """Ask, wait the grace, kill. Returns when it is gone; harmless on a child that is."""
        if self._process is None:
            return
        self.terminate()
        try:
            self._process.wait(self.spec.stop_grace_s)
        except subprocess.TimeoutExpired:
            log.warning("child.killed", name=self.spec.name, grace_s=self.spec.stop_grace_s)
            self.kill()
            self._process.wait()
        self.poll()


def describe_exit(code: int) -> str:
    """A return code in words: `killed by SIGKILL`, `exit code 78 (CONFIG)`."""
    number = _signal(code)
    if number is not None:
        return f"killed by {number.name}"
    # 0 and 1 mean something else in other people's programs.
    if code > 1 and code in {known.value for known in ExitCode}:
        return f"exit code {code} ({ExitCode(code).name})"
    return f"exit code {code}"


def _signal(code: int) -> signal.Signals | None:
    number = -code if code < 0 else code - _SIGNAL_EXIT
    return signal.Signals(number) if number in {s.value for s in signal.Signals} else None
