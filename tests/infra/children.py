"""Small children for the tests of processes and supervision: real ones in Python, and one that only pretends."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import SluiceError, UnavailableError
from infra.process import ChildSpec

# What every real child begins with: says READY=1 as core.lifecycle does, without importing it.
PRELUDE = """
import os, signal, socket, sys, time
def ready():
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.sendto(b"READY=1", "\\0" + os.environ["NOTIFY_SOCKET"][1:])
"""


def python_spec(tmp_path: Path, code: str, *, name: str = "child", **fields: Any) -> ChildSpec:
    """A child that runs `code` after `PRELUDE`."""
    argv = (sys.executable, "-IS", "-c", PRELUDE + textwrap.dedent(code))
    defaults: dict[str, Any] = {"env": dict(os.environ), "log_path": tmp_path / f"{name}.log", "ready_timeout_s": 10.0}
    return ChildSpec(name=name, argv=argv, **(defaults | fields))


def eventually(condition: Callable[[], bool], *, within_s: float = 10.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class FakeChild:
    """A child whose life is told by the test: set `code` to end it, `ready` to have it serve."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.code: int | None = None
        self.ready = False
        self.starts = 0
        self.signals: list[signal.Signals] = []
        self.obeys = True

    @property
    def pid(self) -> int:
        return 1000 + self.starts

    def start(self) -> None:
        self.starts += 1
        self.code, self.ready = None, False

    def poll(self) -> int | None:
        return self.code

    def is_ready(self) -> bool:
        return self.ready

    def reason(self) -> str:
        return f"code {self.code}"

    def failure(self) -> SluiceError:
        return UnavailableError(f"{self.spec.name} failed with {self.code}")

    def send(self, number: signal.Signals) -> None:
        self.signals.append(number)
        if number is signal.SIGKILL or (number is signal.SIGTERM and self.obeys):
            self.code = -int(number)

    def terminate(self) -> None:
        self.send(signal.SIGTERM)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
