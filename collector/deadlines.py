"""Deadlines of connections: one timer a loop looks at all of them, because a timer a request costs more than it guards.

A deadline is noticed up to `TICK_S` late.
"""

from __future__ import annotations

import asyncio
from typing import Protocol
from weakref import WeakKeyDictionary

# Ten thousand connections are looked at in a millisecond.
TICK_S = 0.1
NEVER = float("inf")


class Watched(Protocol):
    """`due` is a time of the loop's clock, NEVER if nothing is awaited."""

    due: float

    def overdue(self) -> None:
        """`due` has passed. Sets another one or ends the connection."""


class Deadlines:
    """Belongs to one event loop. The timer runs while something is watched."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watched: Watched) -> None:
        self._watched.add(watched)
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def remove(self, watched: Watched) -> None:
        self._watched.discard(watched)

    def _tick(self) -> None:
        now = self._loop.time()
        for each in [each for each in self._watched if each.due <= now]:
            each.overdue()
        self._timer = self._loop.call_later(TICK_S, self._tick) if self._watched else None


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Deadlines] = WeakKeyDictionary()


def deadlines(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Those of `loop`."""
    found = _of_loop.get(loop)
    if found is None:
        found = _of_loop[loop] = Deadlines(loop)
    return found
