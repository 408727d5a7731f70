"""The processes of a stack as their supervisors tell of them, with ages by the monotonic clock.

Listens from the supervisors' threads and is read from others. Starts and stops nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.up.snapshot import Process
from core.clock import Clock
from infra.child_events import ChildEvent, ChildState, Exited, Ready, Restarting, Started, Stopped

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True)
class _Row:
    state: ChildState = ChildState.STARTING
    pid: int | None = None
    starts: int = 0
    began: float = 0.0
    fell: float | None = None
    next_start: float | None = None
    last_reason: str = ""


class ProcessTable:
    """To be handed to supervisors as `on_event`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rows: dict[str, _Row] = {}

    def __call__(self, event: ChildEvent) -> None:
        now = self._clock.monotonic()
        with self._lock:
            row = self._rows.setdefault(event.name, _Row())
            match event:
                case Started(pid=pid):
                    row.state, row.pid, row.began, row.next_start = ChildState.STARTING, pid, now, None
                    row.starts += 1
                case Ready():
                    row.state = ChildState.READY
                case Exited(reason=reason):
                    row.state, row.pid, row.fell, row.last_reason = ChildState.BACKOFF, None, now, reason
                case Restarting(after_s=after_s):
                    row.next_start = now + after_s
                case Stopped():
                    row.state, row.pid = ChildState.STOPPED, None

    def pids(self) -> list[int]:
        """Of all that run now."""
        with self._lock:
            return [row.pid for row in self._rows.values() if row.pid is not None]

    def snapshot(self, *, states: Mapping[str, ChildState]) -> tuple[Process, ...]:
        """All that were ever started, in start order. `states` adds what no event tells: that a child is stopping."""
        now = self._clock.monotonic()
        with self._lock:
            return tuple(_process(name, row, now, states.get(name)) for name, row in self._rows.items())


def _process(name: str, row: _Row, now: float, told: ChildState | None) -> Process:
    state = told if told is ChildState.STOPPING and row.pid is not None else row.state
    return Process(
        name=name,
        state="draining" if state is ChildState.STOPPING else state.value,
        pid=row.pid,
        up_s=now - row.began if row.pid is not None else None,
        restarts=max(0, row.starts - 1),
        rss_bytes=_rss(row.pid) if row.pid is not None else None,
        last_reason=row.last_reason,
        fell_s=None if row.fell is None else now - row.fell,
        next_start_s=None if row.next_start is None else max(0.0, row.next_start - now),
    )


def _rss(pid: int) -> int | None:
    """Resident memory; None where there is no /proc, or no longer such a process."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    except (OSError, IndexError, ValueError):
        return None
