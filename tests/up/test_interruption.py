"""Signals, on a real process: the first drains, the second leaves nothing running."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from infra import pids
from tests.infra.children import eventually

_PROGRAM = """
import subprocess, sys, time
from cli.up.interruption import draining_on_signal

# Ignores every polite request.
deaf = "import signal, time; signal.signal(15, 1); print(1, flush=True); time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE)
child.stdout.readline()
say = lambda text: print(text, flush=True)
# A signal that comes just before a sleep does not cut it short.
wait = lambda: [time.sleep(0.05) for _ in range(1_200)]
with draining_on_signal(drain=lambda: say("drain"), children=lambda: [child.pid], abandon=lambda: say("abandon")):
    try:
        say(child.pid)
        wait()
    except KeyboardInterrupt:
        say("unwinding")
        if sys.argv[1] == "clean":
            child.kill()
            child.wait()
        else:
            wait()
"""


def start(how: str) -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, how], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_one_signal_unwinds() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        process, _ = start("clean")
        process.send_signal(number)
        out, _ = process.communicate(timeout=20)
        assert (out.split(), process.returncode) == (["drain", "unwinding"], 0)


def test_two_signals_end_at_once_and_leave_nothing() -> None:
    process, child = start("hang")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert [process.stdout.readline().strip() for _ in range(2)] == ["drain", "unwinding"]
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert (out.split(), process.returncode) == (["abandon"], 130)
    assert eventually(lambda: not pids.alive(child))
