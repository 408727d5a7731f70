"""uvicorn's HTTP/1.1 connection with a deadline and a size for what comes before the body; uvicorn has neither.

A connection that is silent, or stuck inside a request's head, is closed. Bodies are bounded in `collector.body`, idle
connections after an answer by uvicorn's keep-alive timeout.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from collector import problems
from collector.problems import RequestError

# From connecting, or from the first byte of a request, to its empty line. Shorter cuts off bad mobile networks.
HEAD_DEADLINE_S = 10.0
# Request line and headers. Browsers stay below 16 KiB because common proxies refuse more.
MAX_HEAD_BYTES = 32 * 1024


class HeadTooLargeError(RequestError):
    code = "head_too_large"
    title = "Request header fields too large"
    http_status = 431
    close = True


class MalformedRequestError(RequestError):
    code = "bad_request"
    close = True


class Connection(HttpToolsProtocol):
    """One connection. `_head_bytes` counts what arrived since the last complete head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = False
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn annotates it without its None
        if cycle is not None and not cycle.response_complete:
            self._stop_timer()
            return
        if cycle is not None and cycle.more_body:
            # Answered without reading the body, of which more comes.
            self.transport.close()
            return
        # No request is in progress: what came belongs to a head that is not complete yet.
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadTooLargeError(f"request line and headers are larger than {MAX_HEAD_BYTES} bytes"))
        else:
            self._start_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_head:
            # The next request began while this one was being worked on, and nothing of it may come any more.
            self._start_timer()

    def on_headers_complete(self) -> None:
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            error = HeadTooLargeError(f"request line and headers are larger than {MAX_HEAD_BYTES} bytes")
            self._refuse(error)
            raise error  # out of the parser, which is not to go on
        self._head_bytes = 0
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's hook for what its parser cannot read."""
        self._refuse(MalformedRequestError(msg))

    def _refuse(self, error: RequestError) -> None:
        if self.transport.is_closing():
            return
        status, headers, body = problems.render(error)
        lines = [b"HTTP/1.1 %d %s" % (status, error.title.encode("ascii")), *(b"%s: %s" % header for header in headers)]
        self.transport.write(b"\r\n".join((*lines, b"", body)))
        self.transport.close()

    def _start_timer(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(HEAD_DEADLINE_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
