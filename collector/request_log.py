"""One line `tracking.ingest` a request: what was asked, what became of it, how long it took.

Requests that went well are written up to a number a second, and the next line says how many were not. What was refused
or failed is always written. No address, no key, nothing a client wrote but the ids of its trace.
"""

from __future__ import annotations

from collections.abc import Mapping

from core.log import get_logger
from core.settings import Settings

log = get_logger(__name__)


class RequestLog:
    def __init__(self, settings: Settings) -> None:
        self._a_second = settings.collector_log_requests_per_s
        self._until = 0.0
        self._left = 0
        self._skipped = 0

    def wants(self, status: int, now_s: float) -> bool:
        """Whether a request that ends now is to be written."""
        if status >= 400:
            return True
        if now_s >= self._until:
            self._until = now_s + 1.0
            self._left = self._a_second
        if self._left:
            self._left -= 1
            return True
        self._skipped += 1
        return False

    def write(self, status: int, fields: Mapping[str, object]) -> None:
        more: dict[str, object] = {}
        if self._skipped:
            more["not_logged"], self._skipped = self._skipped, 0
        (log.warning if status >= 500 else log.info)("tracking.ingest", status=status, **fields, **more)
