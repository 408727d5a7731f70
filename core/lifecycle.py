"""How a process of ours lives: start, ready, drain, stop.

1. `starting`: connects, recovers, reads state. Not yet of use to anyone.
2. `ready`: announced by `READY=1` on the datagram socket that `NOTIFY_SOCKET` names (sd_notify(3)'s protocol, so
   systemd and our own supervisor read the same word).
3. `draining`: after the first SIGTERM or SIGINT. Takes nothing new, finishes what it has.
4. `stopped`. A second signal while draining ends the process at once: the operator knows better. So does a drain that
   takes longer than its grace, as when the broker it says good-bye to is gone: what was promised is durable by then,
   and the successor continues.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import socket
import threading
from collections.abc import Callable
from enum import Enum
from types import FrameType

from core.errors import ExitCode
from core.log import get_logger

log = get_logger(__name__)

# Shorter than the time a supervisor waits before it kills, so that the log says where a drain hung.
DRAIN_GRACE_S = 20.0


class Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"


class Lifecycle:
    """The phase of this process. Thread-safe; signal handlers must be installed from the main thread."""

    def __init__(self, name: str, *, drain_grace_s: float = DRAIN_GRACE_S) -> None:
        self.name = name
        self._drain_grace_s = drain_grace_s
        self._phase = Phase.STARTING
        self._drain = threading.Event()
        self._lock = threading.Lock()
        self._on_drain: list[Callable[[], None]] = []

    @property
    def phase(self) -> Phase:
        return self._phase

    @property
    def draining(self) -> bool:
        return self._drain.is_set()

    def on_drain(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when draining begins (at once if it already has)."""
        with self._lock:
            if not self._drain.is_set():
                self._on_drain.append(callback)
                return
        callback()

    def install_signal_handlers(self) -> None:
        signal.signal(signal.SIGTERM, self._handle)
        signal.signal(signal.SIGINT, self._handle)

    def ready(self) -> None:
        if self._phase is Phase.STARTING:
            self._phase = Phase.READY
            log.info("process.ready", name=self.name, pid=os.getpid())
            notify("READY=1")

    def drain(self, *, reason: str) -> None:
        with self._lock:
            if self._drain.is_set():
                return
            self._phase = Phase.DRAINING
            self._drain.set()
            callbacks = list(self._on_drain)
        log.info("process.draining", name=self.name, reason=reason)
        notify("STOPPING=1")
        for callback in callbacks:
            callback()

    def stopped(self) -> None:
        self._phase = Phase.STOPPED
        log.info("process.stopped", name=self.name)

    def wait_for_drain(self, timeout: float | None = None) -> bool:
        return self._drain.wait(timeout)

    def signalled(self, signum: int) -> None:
        """Drain, or end at once if that was asked for before. For processes whose framework owns the signals."""
        if self._drain.is_set():
            os._exit(ExitCode.INTERRUPTED)
        overdue = threading.Timer(self._drain_grace_s, self._overdue)
        overdue.daemon = True
        overdue.start()
        # A handler runs between two bytecodes of the main thread, which may hold our lock or a logger's.
        threading.Thread(target=self.drain, kwargs={"reason": signal.Signals(signum).name}, daemon=True).start()

    def _handle(self, signum: int, _frame: FrameType | None) -> None:
        self.signalled(signum)

    def _overdue(self) -> None:
        log.error("process.drain_overdue", name=self.name, grace_s=self._drain_grace_s)
        faulthandler.dump_traceback()
        os._exit(ExitCode.INTERNAL)


def notify(message: str) -> None:
    """Tell the supervisor, if there is one. Never raises: a process that cannot be heard still works."""
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(message.encode(), address)
        except OSError as error:
            log.warning("process.notify_failed", error=str(error))


def die(event: str, **fields: object) -> None:
    """Log and end the process now, without unwinding: for a thread or an agent whose failure nobody would see."""
    log.exception(event, **fields)  # noqa: LOG004 (called from handlers)
    os._exit(ExitCode.INTERNAL)
