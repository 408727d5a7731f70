"""The collector as a process: start, ready, drain, stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.server import run
from core.errors import ConfigError, ExitCode, PortInUseError
from core.settings import Settings
from tests.collector.conftest import COLLECT, KEY, MockCluster, event

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Running:
    process: subprocess.Popen[bytes]
    port: int
    notified: socket.socket
    log: Path

    def wait_notified(self, wanted: bytes) -> None:
        self.notified.settimeout(10)
        assert self.notified.recv(100) == wanted

    def get(self, path: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("GET", path)
        answer = connection.getresponse()
        found = answer.status, json.loads(answer.read())
        connection.close()
        return found

    def wait_listening(self) -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except ConnectionRefusedError:
                time.sleep(0.02)
            else:
                return
        pytest.fail(self.log.read_text())


@pytest.fixture
def running(cluster: MockCluster, tmp_path: Path) -> Iterator[Running]:
    """A collector process that has been started; its topic does not exist yet."""
    path = tmp_path / "notify"
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(path))
    settings = Settings(
        state_dir=tmp_path / "state",
        kafka_bootstrap=cluster.bootstrap,
        collector_port=free_port(),
        bootstrap_key=KEY,
        log_level="debug",
        log_format="json",
    )
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "collector"],
            cwd=ROOT,
            env=os.environ | settings.to_env() | {"NOTIFY_SOCKET": str(path)},
            stderr=out,
        )
    yield Running(process, settings.collector_port, notified, log)
    process.kill()
    process.wait()
    notified.close()


def half_request(port: int) -> tuple[socket.socket, bytes]:
    """A connection with a request under way, and what is missing of it."""
    body = json.dumps(event()).encode()
    sock = socket.create_connection(("127.0.0.1", port), timeout=10)
    head = f"POST {COLLECT} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n"
    sock.sendall(head.encode() + body[:10])
    return sock, body[10:]


def test_ready_publish_drain(running: Running, cluster: MockCluster) -> None:
    running.wait_listening()
    assert running.get("/health/live")[0] == 200
    assert running.get("/health/ready")[0] == 503
    cluster.create_topics(Settings())
    running.wait_notified(b"READY=1")
    status, content = running.get("/health/ready")
    assert (status, content["status"], content["kafka"], content["spool"]["mode"]) == (200, "ready", "ok", "direct")

    sock, rest = half_request(running.port)
    time.sleep(0.1)
    running.process.send_signal(signal.SIGTERM)
    running.wait_notified(b"STOPPING=1")
    time.sleep(0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", running.port))
    sock.sendall(rest)
    answer = sock.recv(65536)
    sock.close()
    assert b"200 OK" in answer
    assert b"server: uvicorn" not in answer
    assert running.process.wait(10) == 0

    log = running.log.read_text()
    assert "process.stopped" in log
    assert KEY not in log


def test_a_second_signal_ends_it_at_once(running: Running, cluster: MockCluster) -> None:
    cluster.create_topics(Settings())
    running.wait_notified(b"READY=1")
    sock, _ = half_request(running.port)
    time.sleep(0.1)
    running.process.send_signal(signal.SIGTERM)
    running.wait_notified(b"STOPPING=1")
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(2) == ExitCode.INTERRUPTED
    sock.close()


def test_a_signal_before_ready_ends_it_too(running: Running) -> None:
    running.wait_listening()
    running.process.send_signal(signal.SIGINT)
    assert running.process.wait(10) == 0


def test_a_port_in_use_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PortInUseError, match=str(port)):
            run(Settings(kafka_bootstrap="127.0.0.1:1", collector_port=port))


def test_a_host_that_is_none_is_said() -> None:
    with pytest.raises(ConfigError, match="SLUICE_COLLECTOR_HOST"):
        run(Settings(kafka_bootstrap="127.0.0.1:1", collector_host="no such host"))


def test_without_kafka_it_does_not_start() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
    process = subprocess.run(
        [sys.executable, "-m", "collector"], cwd=ROOT, env=environ, capture_output=True, timeout=10, check=False
    )
    assert process.returncode == ExitCode.CONFIG
    assert b"SLUICE_KAFKA_BOOTSTRAP" in process.stderr


def posted(connection: http.client.HTTPConnection) -> int:
    connection.request("POST", COLLECT, json.dumps(event()), {"authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_without_descriptors_it_serves_whom_it_has_and_says_so(running: Running, cluster: MockCluster) -> None:
    cluster.create_topics(Settings())
    running.wait_notified(b"READY=1")
    pid = running.process.pid
    limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    deadline = time.monotonic() + 20

    def said(what: bytes) -> bool:
        assert time.monotonic() < deadline
        time.sleep(0.05)
        return what in running.log.read_bytes()

    with ExitStack() as stack:

        def connection() -> http.client.HTTPConnection:
            return stack.enter_context(closing(http.client.HTTPConnection("127.0.0.1", running.port, timeout=10)))

        old = connection()
        assert posted(old) == 200
        used = max(int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()) + 1
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, limits[1]))
        with ExitStack() as held:
            while not said(b"collector.descriptors_exhausted"):
                held.enter_context(socket.create_connection(("127.0.0.1", running.port), timeout=10))
                assert posted(old) == 200
            with pytest.raises((OSError, http.client.HTTPException)):
                posted(connection())
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        new = connection()
        assert posted(new) == 200
        while not said(b"collector.descriptors_available"):
            assert posted(old) == 200
        new.request("GET", "/metrics")
        text = new.getresponse().read()
    found = re.search(rb"^sluice_collector_descriptors_exhausted_total (.+)$", text, re.MULTILINE)
    assert found
    assert float(found[1]) >= 1
