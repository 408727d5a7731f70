"""Raw sockets against the real HTTP server: what is slow, silent, oversized or no HTTP."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from collector.bounds import Bounds
from collector.memory import MemoryPublisher
from core.settings import Settings
from tests.collector.conftest import COLLECT, KEY
from tests.collector.live import Served, read_all, read_answer, serve, status

EVENT = b'{"event_type":"page_view","consent_state":"granted"}'
BOUNDS = Bounds(head_s=0.3, body_s=0.3, linger_s=0.5, write_s=0.5)
DEADLINE_S = BOUNDS.head_s
MAX_HEAD_BYTES = BOUNDS.head_bytes

Connect = Callable[[], socket.socket]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve(Settings(bootstrap_key=KEY), bounds=BOUNDS) as running:
        yield running


@pytest.fixture
def connect(served: Served) -> Connect:
    return served.connect


@pytest.fixture
def publisher(served: Served) -> MemoryPublisher:
    served.publisher.records.clear()
    return served.publisher


def request(body: bytes, *, length: int | None = None, extra: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\ncontent-length: %d\r\n%s\r\n%s" % (
        COLLECT.encode(),
        KEY.encode(),
        len(body) if length is None else length,
        extra,
        body,
    )


@pytest.mark.parametrize("said", [b"", b"POST /api", b"POST / HTTP/1.1\r\nhost: x\r\nx-a: b\r\n"])
def test_a_silent_connection_is_closed(connect: Connect, said: bytes) -> None:
    started = time.monotonic()
    with connect() as sock:
        sock.sendall(said)
        assert read_all(sock) == b""
    assert DEADLINE_S * 0.8 < time.monotonic() - started < DEADLINE_S * 4


def test_dripping_a_head_does_not_buy_time(connect: Connect) -> None:
    started = time.monotonic()
    with connect() as sock, pytest.raises(OSError):  # noqa: PT012 (whichever send hits the closed socket)
        sock.sendall(b"POST / HTTP/1.1\r\n")
        for _ in range(100):
            time.sleep(0.05)
            sock.sendall(b"x: y\r\n")
    assert time.monotonic() - started < DEADLINE_S * 4


def test_a_second_head_has_the_deadline_too(connect: Connect) -> None:
    started = time.monotonic()
    with connect() as sock:
        sock.sendall(request(EVENT) + b"\r\nPOST")
        answer = read_all(sock)
    assert (status(answer), answer.count(b"HTTP/1.1")) == (200, 1)
    assert time.monotonic() - started < DEADLINE_S * 4


def test_a_slow_body_is_answered_and_closed(connect: Connect, publisher: MemoryPublisher) -> None:
    with connect() as sock:
        sock.sendall(request(EVENT, length=1000))
        answer = read_all(sock)
    assert status(answer) == 408
    assert publisher.records == []


def test_several_requests_on_one_connection(connect: Connect, publisher: MemoryPublisher) -> None:
    with connect() as sock:
        sock.sendall(request(EVENT) * 3)
        sock.sendall(request(EVENT, extra=b"connection: close\r\n"))
        answer = read_all(sock)
    assert answer.count(b"HTTP/1.1 200 OK") == 4
    assert len(publisher.records) == 4


@pytest.mark.parametrize("ended", [True, False])
def test_a_head_above_its_limit(connect: Connect, publisher: MemoryPublisher, ended: bool) -> None:
    with connect() as sock:
        sock.sendall(request(EVENT, extra=b"x-a: %s\r\n" % (b"a" * (MAX_HEAD_BYTES // 2))))
        assert status(read_answer(sock)) == 200
    with connect() as sock:
        line = b"x-a: %s\r\n" % (b"a" * MAX_HEAD_BYTES)
        sock.sendall(request(EVENT, extra=line) if ended else b"POST / HTTP/1.1\r\n" + line)
        answer = read_all(sock)
    assert status(answer) == 431
    assert b'"code":"head_too_large"' in answer
    assert len(publisher.records) == 1


@pytest.mark.parametrize(
    "said",
    [
        b"hello\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nx\x00y: 1\r\n\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
    ],
)
def test_what_is_no_http_is_a_problem(connect: Connect, said: bytes) -> None:
    with connect() as sock:
        sock.sendall(said)
        answer = read_all(sock)
    assert status(answer) == 400
    assert b"application/problem+json" in answer


def test_a_body_nobody_reads_ends_the_connection(connect: Connect) -> None:
    with connect() as sock:
        sock.sendall(b"POST /nothing HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
        assert status(read_answer(sock)) == 404
        sock.sendall(b"x" * 1000)
        assert read_all(sock) == b""


def test_chunked_bodies_and_expect_continue(connect: Connect, publisher: MemoryPublisher) -> None:
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(EVENT), EVENT)
    with connect() as sock:
        head = request(b"", extra=b"transfer-encoding: chunked\r\nexpect: 100-continue\r\nconnection: close\r\n")
        sock.sendall(head.replace(b"content-length: 0\r\n", b""))
        assert sock.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        sock.sendall(chunked)
        assert status(read_all(sock)) == 200
    assert len(publisher.records) == 1
