"""The real HTTP server over an in-memory publisher, for tests that speak to it through raw sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import uvloop

from collector.app import create_app
from collector.bounds import Bounds
from collector.connection import Waiting
from collector.http_server import Server
from collector.memory import MemoryPublisher
from core.settings import Settings

PATIENCE_S = 10.0


@dataclass(frozen=True)
class Served:
    address: tuple[str, int]
    publisher: MemoryPublisher
    waiting: Waiting
    server: Server

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=PATIENCE_S)

    def ask(self, request: bytes) -> bytes:
        """Everything that comes back until the server closes."""
        with self.connect() as sock:
            sock.sendall(request)
            return read_all(sock)


@contextmanager
def serve(settings: Settings, *, bounds: Bounds, tls: ssl.SSLContext | None = None) -> Iterator[Served]:
    publisher = MemoryPublisher()
    app = create_app(settings, publisher=publisher)
    server = Server(app, take=app.take, bounds=bounds, grace_s=5, tls=tls)
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(server.serve(sockets=[listener]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Served(listener.getsockname(), publisher, server.waiting, server)
    finally:
        server.should_exit = True
        thread.join()


def read_all(sock: socket.socket) -> bytes:
    """All bytes until the server closes."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def read_answer(sock: socket.socket) -> bytes:
    """One answer with a content-length, no byte more."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = sock.recv(1)
        assert piece, answer
        answer += piece
    length = int(answer.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return answer + (sock.recv(length, socket.MSG_WAITALL) if length else b"")


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])
