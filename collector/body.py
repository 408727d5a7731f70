"""Reads a request body within its size. In time it is there, or not at all: `collector.connection` sees to that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.problems import TooLargeError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


class ClientGoneError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read(receive: Receive, *, content_length: int, limit: int) -> bytes:
    """The body as sent, at most `limit` bytes. `content_length` is -1 if unknown.

    Raises:
        TooLargeError: announced or found to be longer. Nothing more of it is read.
        RequestError: what the connection says instead of giving the body, such as that it did not come in time.
        ClientGoneError: the client disconnected.
    """
    if content_length > limit:
        raise _too_large(limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join((*parts, part)) if parts else part
        parts.append(part)


def _too_large(limit: int) -> TooLargeError:
    error = TooLargeError(f"the body is larger than {limit} bytes")
    error.close = True  # what was not read cannot be told from a next request
    return error
