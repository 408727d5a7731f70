"""Several collector processes on one port: all serve, one that falls comes back, all are seen in the metrics."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from core.settings import Settings
from tests.collector.conftest import COLLECT, KEY, MockCluster, event
from tests.collector.test_server import ROOT, free_port

PATIENCE_S = 40.0


def eventually(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            if what():
                return True
        except OSError:
            pass
        time.sleep(0.2)
    return False


def test_two_processes_share_a_port(cluster: MockCluster, tmp_path: Path) -> None:
    settings = Settings(
        kafka_bootstrap=cluster.bootstrap,
        state_dir=tmp_path / "state",
        collector_port=free_port(),
        collector_workers=2,
        bootstrap_key=KEY,
        limit_client_per_minute=240,
    )
    cluster.create_topics(settings)
    notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notified.bind(str(tmp_path / "notify"))
    notified.settimeout(PATIENCE_S)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "collector"],
        cwd=ROOT,
        env=os.environ | settings.to_env() | {"NOTIFY_SOCKET": str(tmp_path / "notify")},
    )
    try:
        assert notified.recv(100) == b"READY=1"
        started = time.monotonic()
        statuses = [send(settings.collector_port) for _ in range(300)]
        # One limit for both: 240, and 4 a second that come back meanwhile.
        passed = statuses.count(200)
        assert 240 <= passed <= 241 + 4 * (time.monotonic() - started)
        assert statuses.count(429) == 300 - passed
        # Each counted its own, and whichever is asked answers for both.
        assert eventually(lambda: sum(accepted(settings.collector_port).values()) == passed)
        assert eventually(lambda: sorted(accepted(settings.collector_port)) == ["0", "1"])
        (killed,) = pids(settings, "collector-0")
        os.kill(killed, signal.SIGKILL)
        assert eventually(lambda: pids(settings, "collector-0") not in ([], [killed]))
        assert eventually(lambda: all(send(settings.collector_port) in {200, 429} for _ in range(10)))
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", settings.collector_port))
    finally:
        process.kill()
        process.wait()
        notified.close()


def send(port: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", COLLECT, json.dumps(event()), {"authorization": f"Bearer {KEY}"})
    status = connection.getresponse().status
    connection.close()
    return status


def accepted(port: int) -> dict[str, int]:
    """Events accepted, by process."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    found = re.findall(r'sluice_collector_events_total\{verdict="accepted",worker="(\d)"\} (\S+)', text)
    return {worker: int(float(count)) for worker, count in found}


def pids(settings: Settings, name: str) -> list[int]:
    """Of the live processes that wrote to the log of `name`."""
    said = (settings.state_dir / "logs" / f"{name}.log").read_text()
    return [pid for pid in map(int, re.findall(r'"pid":(\d+)', said)) if alive(pid)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
