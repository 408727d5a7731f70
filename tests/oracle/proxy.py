"""A TCP proxy that misbehaves on demand, between any two parts. Vocabulary after Toxiproxy's toxics.

Faults are changed while connections live. Each direction of each connection is a thread; nothing is parsed.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

_CHUNK = 65_536
_TICK_S = 0.02


@dataclass(frozen=True, slots=True)
class Faults:
    """What happens to bytes. The default is nothing.

    latency_s      each piece waits this long
    bytes_per_s    bandwidth, 0 is unbounded
    slice_bytes    pieces are at most this long, 0 is unbounded
    half_open      nothing is passed on any more, in either direction; connections stay open
    drop_answers   what the server answers is thrown away and the connection closed: done, but nobody knows
    refuse         new connections are closed at once
    """

    latency_s: float = 0.0
    bytes_per_s: int = 0
    slice_bytes: int = 0
    half_open: bool = False
    drop_answers: bool = False
    refuse: bool = False


class Proxy:
    """Listens on a free loopback port and passes to `upstream`."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self._upstream = upstream
        self.faults = Faults()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._closed = False
        self.dropped_answers = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, **faults: float | bool) -> None:
        """Change some faults, keep the others."""
        self.faults = replace(self.faults, **faults)  # type: ignore[arg-type] # names are checked by replace

    def heal(self) -> None:
        """No faults from now on. Connections that were half open are closed, as a network that comes back does."""
        was_half_open = self.faults.half_open
        self.faults = Faults()
        if was_half_open:
            self.reset()

    def reset(self) -> None:
        """Send RST on every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for sock in pair:
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    # Not only close: a thread blocked in recv would keep the connection alive.
                    sock.shutdown(socket.SHUT_RD)
                    sock.close()

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.faults.refuse:
                client.close()
                continue
            try:
                server = socket.create_connection(self._upstream, timeout=5)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for sock in (client, server):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_CHUNK):
                self._wait_while_half_open()
                if answers and self.faults.drop_answers:
                    self.dropped_answers += 1
                    break
                for piece in self._pieces(data):
                    sink.sendall(piece)
        for sock in (source, sink):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                sock.close()

    def _wait_while_half_open(self) -> None:
        while self.faults.half_open and not self._closed:
            time.sleep(_TICK_S)

    def _pieces(self, data: bytes) -> Iterator[bytes]:
        faults = self.faults
        size = faults.slice_bytes or len(data)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if faults.latency_s:
                time.sleep(faults.latency_s)
            if faults.bytes_per_s:
                time.sleep(len(piece) / faults.bytes_per_s)
            yield piece


@contextlib.contextmanager
def proxy(upstream: tuple[str, int]) -> Iterator[Proxy]:
    made = Proxy(upstream)
    try:
        yield made
    finally:
        made.close()
