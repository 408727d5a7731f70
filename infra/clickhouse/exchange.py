"""One HTTP exchange as a worker thread sees it: blocking reads of the body, blocking writes of the answer.

ASGI's `receive` and `send` live in the event loop; every call here crosses over and waits, so a slow client slows its
own statement and nothing is buffered without a bound. Deadlines are kept here: a body piece that does not come raises
`SOCKET_TIMEOUT`, an answer nobody takes raises `ClientGoneError`. What is read and sent is decided by the callers.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from typing import Any, Final, TypeVar

from infra.clickhouse.codings import too_large
from infra.clickhouse.errors import SOCKET_TIMEOUT, ClickHouseError, ClientGoneError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Early = Callable[[bytes, bytes], None]
T = TypeVar("T")

# A refused upload is read on for a moment: closing at once resets the connection before the client sees the answer.
_DRAIN_BYTES: Final = 16 << 20
_DRAIN_SECONDS: Final = 3.0
_GONE_POLL_SECONDS: Final = 0.5


class Exchange:
    def __init__(
        self,
        receive: Receive,
        send: Send,
        *,
        max_body_bytes: int,
        body_idle_seconds: float,
        send_seconds: float,
        early: Early | None = None,
    ) -> None:
        self._receive = receive
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._max_body_bytes = max_body_bytes
        self._body_idle_seconds = body_idle_seconds
        self._send_seconds = send_seconds
        self._early = early
        self._first: bytes | None = None
        self._more_body = True
        self._received = 0
        self._gone = threading.Event()
        self.body_read = asyncio.Event()  # from here on only the watcher may call `receive`
        self.started = False  # the status line is out

    # In the event loop

    async def prefetch(self) -> None:
        """Read the first piece before a thread is taken: most requests are one piece."""
        self._first = await self._next_piece()

    async def watch(self) -> bool:
        """Wait for the end of the connection. True when the client left before its answer was complete."""
        await self.body_read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()
        return True

    async def drain(self) -> None:
        """Read on what a refused client still sends, within bounds."""
        seen = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while self._more_body and seen < _DRAIN_BYTES:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        return
                    seen += len(message.get("body", b""))
                    self._more_body = message.get("more_body", False)
        except TimeoutError:
            return

    def abandon(self) -> None:
        self._gone.set()

    def send_early(self, name: bytes, value: bytes) -> None:
        """One header line before the head; the status is 200 from then on."""
        if self._early is not None and not self.started and not self._gone.is_set():
            self._early(name, value)

    async def send_start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def send_body(self, data: bytes, *, more: bool) -> None:
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    # In a worker thread

    @property
    def body_unread(self) -> bool:
        return self._more_body

    @property
    def gone(self) -> bool:
        return self._gone.is_set()

    def body(self) -> Iterator[bytes]:
        """The rest of the body in pieces, none empty. Raises when the client leaves before its end."""
        if self._first is not None:
            first, self._first = self._first, None
            if first:
                yield first
        while self._more_body:
            piece = self._wait(self._next_piece())
            if piece:
                yield piece

    def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._wait(self.send_start(status, headers), seconds=self._send_seconds)

    def write(self, data: bytes, *, more: bool) -> None:
        self._wait(self.send_body(data, more=more), seconds=self._send_seconds)

    def discard_body(self) -> None:
        self._wait(self.drain())

    async def _next_piece(self) -> bytes:
        try:
            message = await asyncio.wait_for(self._receive(), self._body_idle_seconds)
        except TimeoutError:
            text = f"Timeout exceeded while reading the request body ({self._body_idle_seconds:g} s without a byte)"
            raise ClickHouseError(SOCKET_TIMEOUT, "SOCKET_TIMEOUT", text) from None
        if message["type"] == "http.disconnect":
            self._gone.set()
            raise ClientGoneError("the client left before the end of its body")
        piece: bytes = message.get("body", b"")
        self._received += len(piece)
        if self._received > self._max_body_bytes:
            raise too_large(f"Request body is larger than {self._max_body_bytes} bytes")
        if not message.get("more_body", False):
            self._more_body = False
            self.body_read.set()
        return piece

    def _wait(self, work: Coroutine[Any, Any, T], *, seconds: float | None = None) -> T:
        """Run `work` in the loop. Looks up now and then, so that a loop that has ended cannot hold this thread."""
        if self.gone or self._loop.is_closed():
            work.close()
            raise ClientGoneError("the client left")
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        waited = 0.0
        while True:
            try:
                return future.result(_GONE_POLL_SECONDS)
            except concurrent.futures.CancelledError:
                raise ClientGoneError("the exchange was cancelled") from None
            except TimeoutError:
                if future.done():
                    raise
                waited += _GONE_POLL_SECONDS
                if self._gone.is_set() or (seconds is not None and waited >= seconds):
                    future.cancel()
                    raise ClientGoneError("the client left, or does not take its answer") from None
