"""A test server as a process of its own, and a client of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

ROOT = Path(__file__).parents[2]
_COLLECT = "/api/v1/tracking/collect/"


@dataclass
class Server:
    """A running test server. Answers are (status, decoded JSON)."""

    process: subprocess.Popen[str]
    url: str
    key: str

    def get(self, path: str) -> Any:
        status, body = self.call("GET", path)
        assert status == 200, body
        return body

    def send(self, body: Any, *, key: str | None = None, **headers: str) -> tuple[int, Any]:
        return self.call("POST", _COLLECT, body, Authorization=f"Bearer {key or self.key}", **headers)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else None if body is None else msgspec.json.encode(body)
        answer = urllib3.request(method, self.url + path, body=data, headers=headers, retries=False, timeout=10)
        return answer.status, msgspec.json.decode(answer.data)


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    return kept | {"PYTHONPATH": str(ROOT)} | more


@contextmanager
def running(*argv: str, **more: str) -> Iterator[Server]:
    command = [sys.executable, "-m", "cli", "test-server", "--port", "0", "--json", *argv]
    process = subprocess.Popen(
        command, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready = msgspec.json.decode(process.stdout.readline())
        assert ready["pid"] == process.pid
        yield Server(process, ready["url"], ready["key"])
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def _strict_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.fixture
def server(_strict_server: Server) -> Server:
    """One strict server for all tests of a file, empty for each."""
    assert _strict_server.call("POST", "/test/reset")[0] == 200
    return _strict_server


def event(**fields: Any) -> dict[str, Any]:
    return {"event_type": "page_view", "event_id": "e-1", "visitor_id": "v-1", "consent_state": "granted"} | fields
