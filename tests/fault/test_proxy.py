"""The fault proxy does what it says: otherwise tests that use it prove nothing."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.oracle.proxy import Proxy, proxy


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve(sock: socket.socket) -> None:
        with contextlib.suppress(OSError), sock:
            while data := sock.recv(65536):
                sock.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield server.getsockname()
    server.close()


@pytest.fixture
def through(echo: tuple[str, int]) -> Iterator[Proxy]:
    with proxy(echo) as made:
        yield made


def _connect(made: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", made.port), timeout=5)


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return data


def test_bytes_pass_unchanged(through: Proxy) -> None:
    body = bytes(range(256)) * 1000
    with _connect(through) as sock:
        sock.sendall(body)
        assert _exactly(sock, len(body)) == body


def test_latency_and_bandwidth_delay(through: Proxy) -> None:
    with _connect(through) as sock:
        through.set(latency_s=0.15)
        began = time.monotonic()
        sock.sendall(b"x")
        assert _exactly(sock, 1) == b"x"
        assert time.monotonic() - began >= 0.3  # there and back
        through.heal()
        through.set(bytes_per_s=10_000)
        began = time.monotonic()
        sock.sendall(b"y" * 2_000)
        assert _exactly(sock, 2_000) == b"y" * 2_000
        assert time.monotonic() - began >= 0.4


def test_slices_arrive_in_pieces_and_whole(through: Proxy) -> None:
    through.set(slice_bytes=3, latency_s=0.005)
    with _connect(through) as sock:
        sock.sendall(b"0123456789")
        first = sock.recv(100)
        assert len(first) <= 6
        assert first + _exactly(sock, 10 - len(first)) == b"0123456789"


def test_half_open_is_silent_and_heals_by_reset(through: Proxy) -> None:
    with _connect(through) as sock:
        through.set(half_open=True)
        sock.sendall(b"lost")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        sock.settimeout(5)
        through.heal()
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""
    with _connect(through) as sock:
        sock.sendall(b"again")
        assert _exactly(sock, 5) == b"again"


def test_reset_breaks_connections(through: Proxy) -> None:
    with _connect(through) as sock:
        sock.sendall(b"a")
        assert _exactly(sock, 1) == b"a"
        through.reset()
        with contextlib.suppress(ConnectionError):
            assert sock.recv(1) == b""


def test_dropped_answers_close_after_the_server_answered(through: Proxy) -> None:
    through.set(drop_answers=True)
    with _connect(through) as sock:
        sock.sendall(b"request")
        with contextlib.suppress(ConnectionError):
            assert sock.recv(10) == b""
    assert through.dropped_answers == 1


def test_refused_connections(through: Proxy) -> None:
    through.set(refuse=True)
    with _connect(through) as sock, contextlib.suppress(ConnectionError):
        sock.sendall(b"x")
        assert sock.recv(1) == b""
