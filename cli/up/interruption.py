"""The first SIGINT, SIGTERM or SIGHUP drains, the second ends at once.

The first raises KeyboardInterrupt in the main thread, so that whatever is being brought up or waited for unwinds in
order. The second kills every child and leaves without unwinding.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

from core.errors import ExitCode
from infra import pids

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# SIGKILL works at once but for a child in the middle of a disk write.
_GONE_WITHIN_S = 5.0
_POLL_S = 0.02


@contextmanager
def draining_on_signal(
    *, drain: Callable[[], None], children: Callable[[], list[int]], abandon: Callable[[], None]
) -> Iterator[None]:
    """`drain` is told of the first signal; `abandon` tidies up before the second one ends us.

    All three are called from a signal handler: they must not take a lock that the main thread may hold.
    """
    asked = False

    def handle(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            _end(children(), abandon)
        asked = True
        drain()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(children: list[int], abandon: Callable[[], None]) -> NoReturn:
    for pid in children:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    deadline = time.monotonic() + _GONE_WITHIN_S
    while any(map(pids.alive, children)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    abandon()
    os._exit(ExitCode.INTERRUPTED)
