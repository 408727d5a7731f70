"""The commands on a real stack: two workers in the background, then one in a terminal of its own."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import urllib3

from cli.endpoints import Endpoints
from tests.infra.children import eventually

pytestmark = pytest.mark.stack

_ROOT = Path(__file__).parents[2]


class Shell:
    """`sluice` on one state folder, as a user would call it."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.started: list[subprocess.Popen[bytes]] = []
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_")}
        self.environment = kept | {"SLUICE_STATE_DIR": str(state), "PYTHONPATH": str(_ROOT), "TERM": "xterm"}

    def __call__(self, *argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *argv],
            env=self.environment | more,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(self("status", "--json").stdout)
        return found

    def pids(self) -> dict[str, int]:
        return {process["name"]: process["pid"] for process in self.status()["processes"]}

    def send(self, first: int, count: int) -> None:
        """Events with ids of their own, from many visitors, so that every partition gets some."""
        endpoints = msgspec.json.decode((self.state / "endpoints.json").read_bytes(), type=Endpoints)
        events = [
            {
                "event_id": f"up-{number}",
                "event_type": "page_view",
                "visitor_id": f"visitor-{number % 50}",
                "session_id": "s1",
                "url": "https://example.org/",
                "consent_state": "granted",
                "occurred_at": "2026-03-01T10:00:00Z",
            }
            for number in range(first, first + count)
        ]
        answer = urllib3.request(
            "POST",
            f"{endpoints.collector_url}/api/v1/tracking/collect/",
            body=msgspec.json.encode({"events": events}),
            headers={"Authorization": f"Bearer {endpoints.bootstrap_key}", "Content-Type": "application/json"},
            timeout=20,
            retries=False,
        )
        assert answer.status == 200, answer.data


def figures(shell: Shell) -> dict[str, Any]:
    found: dict[str, Any] = shell.status()["figures"]
    return found


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(tmp_path / "state")
    yield shell
    shell("down", "--now")
    for process in shell.started:
        process.wait(30)


def left_running(state: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            text = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:
            continue
        if str(state).encode() in text and int(process.name) != os.getpid():
            found.append(process.name)
    return found


def test_two_workers_in_the_background(shell: Shell) -> None:
    before = shell("status")
    assert (before.returncode, "no stack is running" in before.stderr) == (69, True)
    assert "no stack is running" in shell("down").stdout

    started = shell("up", "--detach", "--workers", "2")
    assert started.returncode == 0, started.stderr
    assert "starting kafka and clickhouse" in started.stderr
    assert "collector   http://127.0.0.1:" in started.stdout

    assert eventually(lambda: shell.status()["health"] == "healthy")
    shown = shell("status")
    assert shown.returncode == 0
    pids = shell.pids()
    assert set(pids) == {"kafka", "clickhouse", "sink-0", "sink-1", "streams-0", "streams-1", "collector", "registry"}
    assert all(str(pid) in shown.stdout for pid in pids.values())
    endpoints = msgspec.json.decode((shell.state / "endpoints.json").read_bytes(), type=Endpoints)
    assert endpoints.registry_url in shown.stdout
    subjects = urllib3.request("GET", f"{endpoints.registry_url}/subjects", retries=False, timeout=10).json()
    assert {"event", "sluice.curated-value"} <= set(subjects)
    key = endpoints.bootstrap_key
    assert key not in shown.stdout + shell("status", "--json").stdout + started.stdout
    assert key[:12] in shown.stdout

    _both_work(shell)
    _a_killed_worker_loses_nothing(shell, pids["streams-1"])

    again = shell("up")
    assert (again.returncode, f"pid {shell.status()['pid']}" in again.stderr) == (75, True)
    assert shell("up", "--detach").returncode == 75
    assert "sluice down" in again.stderr
    refused = shell("reset", "--yes")
    assert refused.returncode == 75
    assert shell("down").returncode == 0
    assert left_running(shell.state) == []
    assert shell("status").returncode == 69
    assert "process.stopped" in shell("logs", "collector", "-n", "5").stdout
    assert shell("reset", "--yes").returncode == 0


def _both_work(shell: Shell) -> None:
    shell.send(0, 400)
    assert eventually(lambda: figures(shell)["rows"] == 400, within_s=20)
    assert eventually(lambda: figures(shell)["received"] == 400 and shell.status()["caught_up"])
    found = figures(shell)
    assert (found["received"], found["curated"], found["duplicates"], found["dead_letters"]) == (400, 400, 0, 0)
    # A sink has a partition for each lane, a stream worker takes both along.
    for role, partitions in (("streams", 4), ("sink", 8)):
        shares = [_assigned(shell, f"{role}-{number}") for number in range(2)]
        assert all(shares)
        assert set.union(*shares) == set(range(partitions))


def _assigned(shell: Shell, name: str) -> set[int]:
    lines = [msgspec.json.decode(line) for line in shell("logs", name, "--json", "-n", "1000").stdout.splitlines()]
    return {line["partition"] for line in lines if line["event"].endswith(".partition_assigned")}


def _a_killed_worker_loses_nothing(shell: Shell, pid: int) -> None:
    shell.send(400, 200)
    os.kill(pid, signal.SIGKILL)
    shell.send(600, 200)
    assert eventually(lambda: shell.pids()["streams-1"] not in {None, pid})
    killed = next(p for p in shell.status()["processes"] if p["name"] == "streams-1")
    assert (killed["restarts"], killed["last_reason"]) == (1, "killed by SIGKILL")
    assert eventually(lambda: figures(shell)["rows"] == 800, within_s=30)
    assert eventually(lambda: shell.status()["health"] == "healthy", within_s=20)
    assert any("killed by SIGKILL" in note for note in shell.status()["notes"])
    assert (figures(shell)["curated"], figures(shell)["duplicates"]) == (800, 0)


def test_in_a_terminal_and_ended_at_once(shell: Shell) -> None:
    terminal, inside = pty.openpty()
    os.set_blocking(terminal, False)
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "up"],
        env=shell.environment | {"COLUMNS": "100", "LINES": "40"},
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    shell.started.append(process)
    os.close(inside)
    screen = _Screen(terminal)
    assert screen.eventually(lambda text: "healthy" in text and "collector" in text), screen.text
    assert shell.status()["health"] == "healthy"
    assert sorted(shell.pids()) == ["clickhouse", "collector", "kafka", "registry", "sink", "streams"]
    children = left_running(shell.state)
    assert len(children) == 7
    # Frozen: it can only be ended by force.
    os.kill(shell.pids()["streams"], signal.SIGSTOP)
    os.kill(shell.pids()["collector"], signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    assert screen.eventually(lambda text: "Ctrl-C again ends at once" in text), screen.text
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert time.monotonic() - began < 6
    assert eventually(lambda: left_running(shell.state) == [], within_s=5)
    assert screen.eventually(lambda text: "\x1b[?1049l" in text), "the terminal was not given back"
    os.close(terminal)
    gone = shell("status")
    assert (gone.returncode, "unexpectedly" in gone.stderr) == (69, False)


class _Screen:
    """Everything written to a terminal so far."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.text = ""

    def eventually(self, holds: Callable[[str], bool], *, within_s: float = 30.0) -> bool:
        deadline = time.monotonic() + within_s
        while not holds(re.sub(r"\x1b\[[0-9;]*m", "", self.text)):
            if time.monotonic() > deadline:
                return False
            if select.select([self._fd], [], [], 0.2)[0]:
                try:
                    self.text += os.read(self._fd, 65_536).decode(errors="replace")
                except OSError:  # nobody writes there any more
                    return holds(self.text)
        return True


@contextmanager
def _listening() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_trouble_at_the_start(tmp_path: Path) -> None:
    """Nothing comes up, so nothing is started: the message and the exit code, also through --detach."""
    taken = Shell(tmp_path / "taken")
    with _listening() as port:
        for detach in ([], ["--detach"]):
            done = taken("up", *detach, SLUICE_COLLECTOR_PORT=str(port))
            assert (done.returncode, f"port {port}" in done.stderr) == (73, True), done.stderr
            assert f"pid {os.getpid()}" in done.stderr
            assert "SLUICE_COLLECTOR_PORT" in done.stderr
    older = Shell(tmp_path / "older")
    older.state.mkdir()
    (older.state / "version").write_text("format=0\n")
    for detach in ([], ["--detach"]):
        done = older("up", *detach)
        assert (done.returncode, "older Sluice" in done.stderr) == (73, True), done.stderr
        assert "sluice reset" in done.stderr
    assert left_running(tmp_path) == []
