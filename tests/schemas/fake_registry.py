"""A writable schema registry in memory, on loopback, that can be made to misbehave."""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class FakeRegistry:
    """`answer`, where it is set, is given to every request: status, body, and seconds to wait before each byte."""

    url: str = ""
    next_id: int = 1000
    with_guids: bool = True
    answer: tuple[int, bytes, float] | None = None
    password: str = ""
    requests: list[str] = field(default_factory=list)
    # subject → version → what was registered
    subjects: dict[str, dict[int, dict[str, Any]]] = field(default_factory=dict)

    def reply(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        parts = path.strip("/").split("/")
        match method, parts:
            case "POST", ["subjects", subject]:
                found = self._under(subject, body)
                return (200, found) if found else (404, {"error_code": 40403, "message": "Schema not found"})
            case "POST", ["subjects", subject, "versions"]:
                return 200, {"id": (self._under(subject, body) or self._register(subject, body))["id"]}
            case "GET", ["schemas", "ids" | "guids" as kind, name]:
                for each in self._all():
                    if str(each.get(kind[:-1])) == name:
                        return 200, {key: each[key] for key in each if key not in {"subject", "version", "id"}}
                return 404, {"error_code": 40403, "message": f"Schema {name} not found"}
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _all(self) -> Iterator[dict[str, Any]]:
        for versions in self.subjects.values():
            yield from versions.values()

    def _under(self, subject: str, body: Any) -> dict[str, Any] | None:
        known = self.subjects.get(subject, {}).values()
        return next((each for each in known if each["schema"] == body["schema"]), None)

    def _register(self, subject: str, body: Any) -> dict[str, Any]:
        for reference in body.get("references", ()):
            assert reference["version"] in self.subjects[reference["subject"]], "what it refers to is not there yet"
        same = next((each for each in self._all() if each["schema"] == body["schema"]), None)
        versions = self.subjects.setdefault(subject, {})
        made = {"subject": subject, "version": len(versions) + 1, **body}
        made["id"] = same["id"] if same else self.next_id
        self.next_id += same is None
        if self.with_guids:
            made["guid"] = str(uuid.uuid5(uuid.NAMESPACE_URL, body["schema"]))
        versions[made["version"]] = made
        return made


@contextmanager
def fake_registry(*, certificate: tuple[Path, Path] | None = None, **fields: Any) -> Iterator[FakeRegistry]:
    """`certificate` and its key make it speak TLS."""
    fake = FakeRegistry(**fields)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: two wait for the client's delayed acknowledgement

        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self._answer()

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.requests.append(f"{self.command} {self.path}")
            status, content, pause_s = fake.answer or self._of_fake(body)
            try:
                time.sleep(pause_s)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for piece in [content] if not pause_s else [content[at : at + 1] for at in range(len(content))]:
                    self.wfile.write(piece)
                    self.wfile.flush()
                    time.sleep(pause_s)
            except OSError:  # the client left
                self.close_connection = True

        def _of_fake(self, body: bytes) -> tuple[int, bytes, float]:
            if fake.password and fake.password not in self.headers.get("Authorization", ""):
                return 401, b'{"error_code": 401, "message": "Unauthorized"}', 0.0
            path = self.path.partition("?")[0]
            status, answer = fake.reply(self.command, path, json.loads(body) if body else None)
            return status, json.dumps(answer).encode(), 0.0

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    fake.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
