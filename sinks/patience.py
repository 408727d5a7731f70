"""What a sink asks before it can write a row, asked again while a server is away: a restart of the engine takes
seconds, and a sink that ended for it would only be started again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from core.errors import UnavailableError
from core.lifecycle import Lifecycle
from core.log import get_logger
from sinks.clickhouse import ServerError

log = get_logger(__name__)

T = TypeVar("T")
# With a try that takes the client's whole time-out (120 s) still less than the 300 s that Kafka lets a callback take.
PATIENCE_S = 120.0
_LONGEST_S = 2.0


def patiently(lifecycle: Lifecycle, ask: Callable[[], T], *, limit_s: float = PATIENCE_S) -> T:
    """The answer of `ask`, which is tried again for `limit_s`, or until the process is told to drain.

    Raises:
        UnavailableError, ServerError: the last one.
    """
    deadline = time.monotonic() + limit_s
    while True:
        try:
            return ask()
        except (UnavailableError, ServerError) as error:
            if not error.retryable or time.monotonic() > deadline:
                raise
            log.warning("sink.waits_for_servers", error=error.message)
            if lifecycle.wait_for_drain(random.uniform(0, _LONGEST_S)):  # noqa: S311 (spreads load, guards nothing)
                raise
