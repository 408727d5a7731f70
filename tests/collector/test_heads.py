"""Heads that are remembered say what the parser says of them, however requests are cut into pieces."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from collector.bounds import Bounds
from collector.connection import Connection, Waiting
from collector.exchange import Exchange
from collector.heads import Heads

HEADS = (
    b"POST /collect HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n",
    b"POST /collect?a=b HTTP/1.1\r\nhost: a\r\ncontent-length:%d\r\nX: \r\n\r\n",
    b"POST /%%61 HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n",
    b"\r\nPOST /lines HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\n\r\n",
    b"POST /bare HTTP/1.1\nHost: b\nContent-Length: %d\n\n",
    b"POST /both HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST /twice HTTP/1.1\r\nHost: b\r\nContent-Length: %d\r\nContent-Length: 3\r\n\r\n",
    b"POST /old HTTP/1.0\r\nContent-Length: %d\r\n\r\n",
    b"POST /expects HTTP/1.1\r\nHost: b\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
    b"POST /upgrade HTTP/1.1\r\nHost: b\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: %d\r\n\r\n",
)
CHUNKED = b"POST /chunked HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
# What looks like the end of a head, or like a request, may stand in a body.
BODIES = (b"", b"abc", b"\r\n\r\n", b"x\r\n\r\ny", HEADS[0] % 3 + b"abc", b"GET / HTTP/1.1\r\n\r\n")
REQUESTS = [*(head % len(body) + body for head in HEADS for body in BODIES), HEADS[0] % 5 + b"abc", CHUNKED]


class Forgetful(Heads):
    def remember(self, text: bytes, head: object) -> None:
        pass


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        # Everything but the date.
        self.written.append(b"\r\n".join(line for line in data.split(b"\r\n") if not line.startswith(b"date:")))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


def said(exchange: Exchange) -> bytes:
    head = exchange.head
    return repr((head.method, head.path, head.query, head.fields, exchange.client, bytes(exchange.body))).encode()


def take(exchange: Exchange) -> bool:
    exchange.respond(200, (), said(exchange))
    return True


async def app(scope: Any, receive: Any, send: Any) -> None:
    body = (await receive()).get("body", b"")
    told = repr((scope["method"], scope["path"], scope["query_string"], scope["headers"], scope["client"], body))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": told.encode()})


async def answers(pieces: list[bytes], heads: Heads, *, takes: bool) -> tuple[list[bytes], bool]:
    loop = asyncio.get_running_loop()
    connection = Connection(
        app,
        ServerState(),
        loop=loop,
        bounds=Bounds(),
        waiting=Waiting(),
        heads=heads,
        take=take if takes else None,
    )
    transport = Transport()
    connection.connection_made(transport)
    for piece in pieces:
        connection.data_received(piece)
        for _ in range(6):
            await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.sleep(0)
    return transport.written, transport.closed


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6), st.data())
def test_answers_do_not_depend_on_what_is_remembered(requests: list[bytes], data: st.DataObject) -> None:
    async def run() -> None:
        known = Heads()
        for request in REQUESTS:  # on connections of their own
            await answers([request], known, takes=True)
        stream = b"".join(requests)
        cuts = sorted(data.draw(st.sets(st.integers(1, len(stream)), max_size=4)))
        split = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
        for pieces in (requests, [piece for piece in split if piece]):
            parsed = await answers(pieces, Forgetful(), takes=False)
            assert await answers(pieces, known, takes=False) == parsed
            assert await answers(pieces, known, takes=True) == parsed

    asyncio.run(run())


def test_a_plain_head_is_remembered_and_others_are_not() -> None:
    async def run() -> list[bool]:
        known = Heads()
        for request in REQUESTS:
            await answers([request], known, takes=True)
        return [known.find((head % 3).partition(b"\r\n\r\n")[0]) is not None for head in HEADS]

    # A line end before the request line is part of what is remembered.
    assert asyncio.run(run()) == [True, True, False, True, *[False] * 6]


def test_memory_is_bounded() -> None:
    known = Heads()
    for number in range(10_000):
        known.remember(b"%d" % number, None)  # type: ignore[arg-type]  # only counted
    assert sum(known.find(b"%d" % number) is None for number in range(10_000)) > 7_000
