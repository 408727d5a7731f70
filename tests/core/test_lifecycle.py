"""How a process of ours lives, seen from outside: readiness, drain, the impatient second signal."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import lifecycle
from core.errors import ExitCode
from core.lifecycle import Lifecycle, Phase

_PROGRAM = """
import sys, threading, time
from core.lifecycle import Lifecycle
from core.log import configure
configure(process="child", form="json")
life = Lifecycle("child")
told = threading.Event()
life.on_drain(lambda: print("draining", flush=True))
life.on_drain(told.set)
life.install_signal_handlers()
life.ready()
life.ready()
life.wait_for_drain(30)
told.wait(30)
time.sleep(float(sys.argv[1]))
life.stopped()
print("done", flush=True)
"""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(10)
        yield sock


def child(supervisor: socket.socket, *, drain_s: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(drain_s)],
        env=os.environ | {"NOTIFY_SOCKET": supervisor.getsockname()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_process_announces_itself_and_drains(supervisor: socket.socket, stop: signal.Signals) -> None:
    process = child(supervisor, drain_s=0)
    assert supervisor.recv(100) == b"READY=1"
    process.send_signal(stop)
    assert supervisor.recv(100) == b"STOPPING=1"
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out.split()) == (0, ["draining", "done"])
    events = [json.loads(line) for line in err.splitlines()]
    assert [line["event"] for line in events] == ["process.ready", "process.draining", "process.stopped"]
    assert events[1]["reason"] == stop.name


def test_a_second_signal_ends_the_process_at_once(supervisor: socket.socket) -> None:
    process = child(supervisor, drain_s=30)
    assert supervisor.recv(100) == b"READY=1"
    process.send_signal(signal.SIGTERM)
    assert supervisor.recv(100) == b"STOPPING=1"
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=10)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "done" not in out
    assert time.monotonic() - started < 5


def test_dying_ends_the_process_from_any_thread() -> None:
    program = """
import threading
from core.lifecycle import die
from core.log import configure
configure(process="child", form="json")
def work():
    try:
        raise ValueError("broken")
    except ValueError:
        die("thread.failed", part=1)
thread = threading.Thread(target=work)
thread.start()
thread.join()
print("unreachable")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == ExitCode.INTERNAL
    assert done.stdout == ""
    line = json.loads(done.stderr)
    assert (line["event"], line["part"]) == ("thread.failed", 1)
    assert "ValueError: broken" in line["exception"]


def phase(life: Lifecycle) -> Phase:
    return life.phase  # through a call, since a type checker takes a property for constant


def test_phases_follow_each_other() -> None:
    life = Lifecycle("x")
    assert (phase(life), life.draining) == (Phase.STARTING, False)
    assert not life.wait_for_drain(0)
    life.ready()
    assert phase(life) is Phase.READY
    life.drain(reason="asked")
    assert (phase(life), life.draining) == (Phase.DRAINING, True)
    assert life.wait_for_drain(0)
    life.ready()
    assert phase(life) is Phase.DRAINING, "a draining process does not become ready again"
    life.stopped()
    assert phase(life) is Phase.STOPPED


def test_callbacks_run_once_and_late_ones_at_once() -> None:
    life = Lifecycle("x")
    called: list[str] = []
    life.on_drain(lambda: called.append("early"))
    threads = [threading.Thread(target=life.drain, kwargs={"reason": str(n)}) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert called == ["early"]
    life.on_drain(lambda: called.append("late"))
    assert called == ["early", "late"]


def test_a_supervisor_may_listen_on_an_abstract_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        name = f"sluice-test-{os.getpid()}"
        sock.bind(f"\0{name}")
        sock.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        lifecycle.notify("READY=1")
        assert sock.recv(100) == b"READY=1"


@pytest.mark.parametrize("where", ["", "/nowhere/at/all", "/" + "x" * 300])
def test_a_supervisor_that_cannot_be_reached_stops_nothing(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", where)
    life = Lifecycle("x")
    life.ready()
    assert life.phase is Phase.READY


def test_a_drain_that_hangs_ends_by_itself_and_says_where() -> None:
    program = """
import os, signal, time
from core.lifecycle import Lifecycle
from core.log import configure
configure(process="test", form="json")
lifecycle = Lifecycle("test", drain_grace_s=0.5)
lifecycle.install_signal_handlers()
os.kill(os.getpid(), signal.SIGTERM)
while True:
    time.sleep(60)  # a client library that says good-bye to a broker that is gone
"""
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == ExitCode.INTERNAL
    assert time.monotonic() - began < 10
    assert "process.drain_overdue" in done.stderr
    assert "File" in done.stderr


def test_a_drain_that_was_asked_for_in_the_process_has_no_time_limit() -> None:
    """Only a signal starts the clock: tests and embedders drain lifecycles without ending their process."""
    lifecycle = Lifecycle("test", drain_grace_s=0.05)
    lifecycle.drain(reason="test")
    time.sleep(0.3)
    assert lifecycle.draining
