"""Takes a snapshot twice a second, shows it, and writes the status document every second. A thread of its own: the
main thread is busy with bringing the stack up and down.

What goes wrong here is logged and never reaches the stack.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from cli.up import document
from cli.up.monitor import Monitor
from cli.up.screens import Screen
from core.log import get_logger

log = get_logger(__name__)

_INTERVAL_S = 0.5
_DOCUMENT_EVERY = 2
_JOIN_S = 2.0


class Reporter:
    """Once `publish` names the folder, the document is written there: not before its lock is held."""

    def __init__(self, monitor: Monitor, screen: Screen) -> None:
        self._monitor = monitor
        self._screen = screen
        self._folder: Path | None = None
        self._ended = threading.Event()
        self._broken = False
        self._written: tuple[str, str] = ("", "")  # phase and health that other processes know of
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def publish(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(_JOIN_S)
        self._attempt(documented=False)
        if self._folder is not None:
            document.remove(self._folder, pid=os.getpid())
        self._screen.close()

    def _run(self) -> None:
        ticks = 0
        while not self._ended.is_set():
            self._attempt(documented=ticks % _DOCUMENT_EVERY == 0)
            ticks += 1
            self._ended.wait(_INTERVAL_S)

    def _attempt(self, *, documented: bool) -> None:
        try:
            snapshot = self._monitor.snapshot()
            known = (snapshot.phase, snapshot.health)
            if (documented or known != self._written) and self._folder is not None:
                document.write(self._folder, snapshot)
                self._written = known
            self._screen.show(snapshot)
        except Exception:  # a full disk, a terminal that is gone, a defect of the view's
            if not self._broken:
                log.exception("up.report_failed")
            self._broken = True
