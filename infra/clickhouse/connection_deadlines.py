"""uvicorn's HTTP protocol with what it lacks: a deadline and a cap for headers, and header lines before the head.

A connection that says nothing, or stops in the middle of its headers, is closed after `header_seconds`; headers above
`max_header_bytes` are answered with 431. Bodies have their own deadline in `exchange`.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from infra.clickhouse.early_headers import EXTENSION, EarlyHeaders

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain\r\ncontent-length: 26\r\n"
    b"connection: close\r\n\r\nRequest headers too large\n"
)


class DeadlineProtocol(HttpToolsProtocol):
    header_seconds: ClassVar[float]
    max_header_bytes: ClassVar[int]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._header_timer: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_headers = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_headers:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._in_headers and self._header_bytes > self.max_header_bytes and not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = True
        if self._header_timer is None:  # a later request on a connection that was kept
            self._arm()

    def on_headers_complete(self) -> None:
        self._disarm()
        self._in_headers = False
        self._header_bytes = 0
        super().on_headers_complete()
        early = EarlyHeaders(self.transport)
        # The task of this cycle was made just now and has not run yet.
        self.cycle.transport = early  # type: ignore[assignment]  # passes on whatever uvicorn asks of a transport
        self.scope.setdefault("extensions", {})[EXTENSION] = {"send": early.send}

    def _arm(self) -> None:
        self._header_timer = self.loop.call_later(self.header_seconds, self._expire)

    def _disarm(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _expire(self) -> None:
        self._header_timer = None
        if not self.transport.is_closing():
            self.transport.close()


def protocol_class(*, header_seconds: float, max_header_bytes: int) -> type[DeadlineProtocol]:
    """A class and not an instance, because that is what uvicorn takes."""
    bounds = {"header_seconds": header_seconds, "max_header_bytes": max_header_bytes}
    return type("BoundedDeadlineProtocol", (DeadlineProtocol,), bounds)
