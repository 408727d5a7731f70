"""A collector to import into: a small HTTP server on loopback that answers as the test tells it to."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

KEY = "slc_test_key"


@dataclass
class Reply:
    """An answer. `verdicts` None sends `body` as it is; `reset` drops the connection after reading the request."""

    status: int = 200
    verdicts: list[dict[str, Any]] | None = None
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    reset: bool = False


def accept(events: list[dict[str, Any]]) -> Reply:
    return Reply(verdicts=[{"event_id": event["event_id"], "verdict": "accepted"} for event in events])


@dataclass
class StubCollector:
    """`script` answers the first requests, one each; `answer` all later ones."""

    url: str = ""
    script: list[Callable[[list[dict[str, Any]]], Reply]] = field(default_factory=list)
    answer: Callable[[list[dict[str, Any]]], Reply] = accept
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    body_sizes: list[int] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def sent(self) -> list[dict[str, Any]]:
        """All events of all requests, in order."""
        return [event for request in self.requests for event in request["events"]]

    def handle(self, body: bytes, headers: dict[str, str]) -> Reply:
        request = json.loads(body)
        self.requests.append(request)
        self.headers.append(headers)
        self.body_sizes.append(len(body))
        if headers.get("Authorization") != f"Bearer {KEY}":
            return Reply(401, body=b'{"title":"unauthorized","detail":"unknown tracking key"}')
        reply = (self.script.pop(0) if self.script else self.answer)(request["events"])
        for event, verdict in zip(request["events"], reply.verdicts or [], strict=False):
            if verdict["verdict"] == "accepted" and not reply.reset:
                self.accepted.append(event)
        return reply


def _handler(stub: StubCollector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            assert self.path == "/api/v1/tracking/collect/"
            data = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(data) if self.headers["Content-Encoding"] == "gzip" else data
            reply = stub.handle(body, dict(self.headers))
            if reply.reset:
                # Linger 0: the client sees a reset, not an orderly end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            out = reply.body if reply.verdicts is None else json.dumps({"events": reply.verdicts}).encode()
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):  # the socket of a reset connection is gone
                super().finish()

        def log_message(self, *_args: object) -> None:
            pass

    return Handler


@pytest.fixture
def collector() -> Iterator[StubCollector]:
    stub = StubCollector()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(stub))
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield stub
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def key() -> str:
    return KEY


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def real_log() -> Path:
    return Path(__file__).parents[2] / "cli" / "demo" / "data" / "access.log.gz"
