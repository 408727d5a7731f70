"""Header lines that leave before the rest of the head is known: how a server tells progress while a statement runs.

ASGI sends a head at once, so these lines go to the transport directly: the status line 200 with the first of them. The
head that the application sends later then goes out without its own status line, whatever status it has. That is what a
real server does too; what went wrong is said by `X-ClickHouse-Exception-Code` and the body.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

EXTENSION: Final = "sluice.early_headers"
_STATUS_LINE: Final = b"HTTP/1.1 200 OK\r\n"


class EarlyHeaders:
    """Stands before the transport of one exchange. `send` is for the application, all else for uvicorn."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._begun = False

    def send(self, name: bytes, value: bytes) -> None:
        """In the event loop, before the head; the caller knows that none is out yet."""
        if not self._begun:
            self._begun = True
            self._transport.write(_STATUS_LINE)
        self._transport.write(b"%s: %s\r\n" % (name, value))

    def write(self, data: bytes) -> None:
        if self._begun:
            self._begun = False
            data = data[data.index(b"\r\n") + 2 :]
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
