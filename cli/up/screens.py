"""Where snapshots go: a terminal, plain lines one a change, JSON lines one a change. None of them decides what is told.

A terminal that is gone is no trouble of the stack's: what cannot be written is dropped.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Protocol, TextIO

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from cli.up import document
from cli.up.snapshot import Snapshot
from cli.up.view import render
from cli.up.words import span

_LEAVE_SCREEN = b"\x1b[?1049l\x1b[?25h"


class Screen(Protocol):
    """`show` is called about twice a second from one thread, `close` once at the end."""

    def show(self, snapshot: Snapshot) -> None: ...
    def close(self) -> None: ...
    def abandon(self) -> None:
        """Give the terminal back now, from a signal handler, without a lock."""


class Terminal:
    """The live view, on the terminal's other screen: what was there before is there again afterwards."""

    def __init__(self, stream: TextIO) -> None:
        self._fd = stream.fileno()
        self._console = Console(file=stream, highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._shown: list[Text] = []
        self._size = (0, 0)
        self._live.start()

    def show(self, snapshot: Snapshot) -> None:
        size = self._console.size
        lines = render(snapshot, width=size.width, height=size.height)
        # Most of the time nothing has changed; drawing costs a hundred times more than comparing.
        if lines != self._shown or (size.width, size.height) != self._size:
            self._shown, self._size = lines, (size.width, size.height)
            self._live.update(Group(*lines), refresh=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # closed by its user: that is why we end
            self._live.stop()

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, _LEAVE_SCREEN)


class PlainLines:
    """A line for each change: a step, a process's state, a problem that came or went."""

    def __init__(self, write: Callable[[str], object], *, known: Snapshot | None = None) -> None:
        """What is `known` is not told again."""
        self._write = write
        self._last = known

    def show(self, snapshot: Snapshot) -> None:
        for line in changes(self._last, snapshot):
            self._write(line)
        self._last = snapshot

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


def changes(before: Snapshot | None, now: Snapshot) -> list[str]:
    """What is different from the last snapshot, in words."""
    phase = now.phase if now.phase != (before.phase if before else "starting") else ""
    lines = ["draining"] if phase == "draining" else []
    if now.step and (before is None or now.step != before.step):
        lines.append(now.step)
    known = {} if before is None else {process.name: process for process in before.processes}
    for process in now.processes:
        last = known.get(process.name)
        if last is not None and (process.restarts, process.state) == (last.restarts, last.state):
            continue
        if process.state == "restarting":
            lines.append(f"{process.name} fell: {process.last_reason}")
        elif process.pid is not None:
            lines.append(f"{process.name} {process.state} (pid {process.pid})")
        else:
            lines.append(f"{process.name} {process.state}")
    if phase == "running" and now.addresses is not None:
        lines.append(f"ready after {span(now.up_s)}: collector {now.addresses.collector_url}")
    told = set(before.problems) if before else set()
    # A problem's figures move; its first words say which one it is.
    lines += [f"problem: {text}" for text in now.problems if _kind(text) not in {_kind(each) for each in told}]
    lines += [f"over: {text}" for text in sorted(told) if _kind(text) not in {_kind(each) for each in now.problems}]
    return lines


def _kind(problem: str) -> str:
    return " ".join(problem.split()[:3])


class JsonLines:
    """The status document as one line at each change of phase, health or a process's state."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._last: object = None

    def show(self, snapshot: Snapshot) -> None:
        key = (snapshot.phase, snapshot.health, tuple((p.name, p.state, p.restarts) for p in snapshot.processes))
        if key != self._last:
            self._last = key
            self._write(msgspec.json.encode(document.as_json(snapshot)).decode())

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass


class Nothing:
    """In the background: the status document and the log are enough."""

    def show(self, snapshot: Snapshot) -> None:
        pass

    def close(self) -> None:
        pass

    def abandon(self) -> None:
        pass
