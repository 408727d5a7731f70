"""Says when the process has no file descriptors left: the event loop does not.

It takes no harm. What libuv cannot accept it accepts and closes at once, so clients see a reset and try again, open
connections are served, and all is well once descriptors are free. Connections are bounded below the limit
(`collector.bounds`), so whoever reads this has a limit that is too low, or a leak.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource

from core import metrics
from core.log import get_logger

log = get_logger(__name__)

LOOK_S = 1.0
_NONE_LEFT = frozenset({errno.EMFILE, errno.ENFILE})


async def watch() -> None:
    """Look once a second, until cancelled."""
    exhausted = False
    while True:
        was, exhausted = exhausted, not available()
        if exhausted:
            metrics.counter("sluice_collector_descriptors_exhausted_total").inc()
        if exhausted and not was:
            log.error(
                "collector.descriptors_exhausted",
                limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
                hint="New connections are reset. Raise the limit of open files (LimitNOFILE, ulimit -n).",
            )
        elif was and not exhausted:
            log.info("collector.descriptors_available")
        await asyncio.sleep(LOOK_S)


def available() -> bool:
    """Whether one more file can be opened."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno not in _NONE_LEFT
    return True
