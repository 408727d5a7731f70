"""One request and its answer, as ASGI's `receive` and `send`. Bounds nothing: `collector.connection` does.

Differs from other servers in one point: `receive` gives the body whole, and raises a RequestError instead if it is too
large or does not come in time. So every application behind it, the hot path and Starlette alike, has bounded bodies.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from collector.heads import Head
from collector.problems import RequestError

Message = dict[str, Any]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {status.value: b"HTTP/1.1 %d %s\r\n" % (status, status.phrase.encode()) for status in HTTPStatus}
_NO_CONTENT = frozenset({204, 304})
_DISCONNECT: Message = {"type": "http.disconnect"}
_ASGI = {"version": "3.0", "spec_version": "2.3"}


class Wire(Protocol):
    """What an exchange needs of its connection."""

    scheme: str
    server: tuple[str, int] | None
    client: tuple[str, int] | None

    def write(self, data: bytes) -> None: ...

    async def drained(self) -> None:
        """Returns when the client has taken in enough to be sent more, or is gone."""

    def answered(self, exchange: Exchange) -> None:
        """The answer is complete."""


class Exchange:
    """`complete`: the whole body is here. `keep_alive`: another request may follow on the connection. `size` is what
    its connection counts for it.
    """

    __slots__ = (
        "_body_taken",
        "_chunked",
        "_expects_continue",
        "_head",
        "_waiter",
        "_wire",
        "answered",
        "body",
        "complete",
        "gone",
        "head",
        "keep_alive",
        "refusal",
        "size",
        "started",
    )

    def __init__(self, wire: Wire, head: Head, *, keep_alive: bool, expects_continue: bool) -> None:
        self._wire = wire
        self.head = head
        self.keep_alive = keep_alive
        self._expects_continue = expects_continue
        self.body: bytes | bytearray = b""
        self.size = 0
        self.complete = False
        self.refusal: RequestError | None = None
        self.gone = False
        self.started = False
        self.answered = False
        self._body_taken = False
        self._chunked = False
        self._head: Message | None = None
        self._waiter: asyncio.Future[None] | None = None

    @property
    def client(self) -> tuple[str, int] | None:
        return self._wire.client

    def scope(self) -> dict[str, Any]:
        head, wire = self.head, self._wire
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": wire.scheme,
            "path": head.path,
            "raw_path": head.raw_path,
            "query_string": head.query,
            "root_path": "",
            "headers": head.fields.copy(),
            "server": wire.server,
            "client": wire.client,
        }

    def add(self, part: bytes) -> None:
        """One more part of the body."""
        if not self.body:
            self.body = part
        elif isinstance(self.body, bytearray):
            self.body += part
        else:
            self.body = bytearray(self.body)
            self.body += part

    def wake(self) -> None:
        """`complete`, `refusal` or `gone` has changed."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def receive(self) -> Message:
        if not self.complete and not self._body_taken:
            if self._expects_continue and not self.started:
                self._expects_continue = False
                self._wire.write(_CONTINUE)
            while not self._body_settled():
                await self._wait()
        if self.refusal is not None and not self._body_taken:
            self._body_taken = True
            raise self.refusal
        if self._body_taken:
            while not self._over():
                await self._wait()
        if self._over():
            return _DISCONNECT
        self._body_taken = True
        body, self.body = self.body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": False}

    def _body_settled(self) -> bool:
        return self.complete or self.refusal is not None or self.gone

    def _over(self) -> bool:
        return self.gone or self.answered

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter

    def respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """The whole answer at once."""
        if self.gone:
            return
        self._wire.write(self._first(status, headers, body, more=False))
        self.started = self.answered = True
        self._wire.answered(self)

    async def send(self, message: Message) -> None:
        if self.gone:
            return
        if message["type"] == "http.response.start":
            self._head = message
            return
        body = message.get("body", b"")
        more = message.get("more_body", False)
        if not self.started:
            if self._head is None:
                raise RuntimeError("an answer starts with its head")
            body = self._first(self._head["status"], self._head["headers"], body, more=more)
        elif self._chunked:
            body = _chunk(body)
        if not more and self._chunked:
            body += b"0\r\n\r\n"
        if self.head.method != "HEAD" or not self.started:
            self._wire.write(body)
        self.started = True
        if more:
            await self._wire.drained()
        else:
            self.answered = True
            self.wake()
            self._wire.answered(self)

    def _first(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes, *, more: bool) -> bytes:
        """The head and what of the body goes with it, in one write."""
        fields, framed, closes = _written(tuple(map(tuple, headers)))
        ending = b"\r\n"
        if not framed and status not in _NO_CONTENT:
            if more:
                self._chunked = True
                ending = b"transfer-encoding: chunked\r\n\r\n"
                body = _chunk(body)
            else:
                ending = b"content-length: %d\r\n\r\n" % len(body)
        if not self.complete or not self.keep_alive or closes:
            self.keep_alive = False
            if not closes:
                ending = b"connection: close\r\n" + ending
        if self.head.method == "HEAD":
            body = b""
        return b"".join((_STATUS_LINES[status], _date.line(), fields, ending, body))


# Answers are of few kinds.
@lru_cache(256)
def _written(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[bytes, bool, bool]:
    """As they are sent; whether they say how long the answer is, and that the connection ends with it."""
    parts: list[bytes] = []
    framed = closes = False
    for name, value in headers:
        if b"\n" in value or b"\r" in value:
            raise RuntimeError(f"a header of the answer has a line break: {name!r}")
        parts += (name, b": ", value, b"\r\n")
        if name == b"content-length":
            framed = True
        elif name == b"connection" and value == b"close":
            closes = True
    return b"".join(parts), framed, closes


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(body), body) if body else b""


class _Date:
    """The `date` header (RFC 9110 section 6.6.1), made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def line(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._line = b"date: %s\r\n" % formatdate(second, usegmt=True).encode("ascii")
        return self._line


_date = _Date()
