"""Reads a request body: bounded in bytes and in time, because uvicorn bounds neither. Does not look inside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from collector.problems import BodyTimeoutError, TooLargeError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# The whole body must be here this many seconds after its request was started. Shorter cuts off phones in tunnels
# (1 MiB at 1 Mbit/s takes 8.4 s), longer lets slow senders hold connections.
BODY_DEADLINE_S = 10.0


class ClientGoneError(Exception):
    """The client went away before its request was complete: there is nobody to answer."""


async def read(receive: Receive, *, content_length: int, limit: int, deadline_s: float = BODY_DEADLINE_S) -> bytes:
    """The body as sent, at most `limit` bytes. `content_length` is -1 if unknown.

    Raises:
        TooLargeError: announced or found to be longer. Nothing more of it is read.
        BodyTimeoutError: not complete in `deadline_s` seconds.
        ClientGoneError: the client disconnected.
    """
    if content_length > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(deadline_s):
            return await _read(receive, limit)
    except TimeoutError:
        raise BodyTimeoutError(f"the body was not complete after {deadline_s:g} seconds") from None


async def _read(receive: Receive, limit: int) -> bytes:
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
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _too_large(limit: int) -> TooLargeError:
    error = TooLargeError(f"the body is larger than {limit} bytes")
    error.close = True  # what was not read cannot be told from a next request
    return error
