"""A call that does not come back ends the process; one that does is left alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from core.errors import ExitCode

_PROGRAM = """
import sys, time
from core.log import configure
from core.watchdog import WATCHDOG
configure(process="test", form="json")
for seconds in map(float, sys.argv[1:]):
    with WATCHDOG.limit(1.0, "something was done"):
        time.sleep(seconds)
time.sleep(1.2)
print("alive")
"""


def _run(*seconds: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, *seconds], capture_output=True, text=True, check=False, timeout=30
    )


def test_calls_that_return_in_time_are_left_alone() -> None:
    done = _run("0.1", "0.7", "0.7")
    assert (done.returncode, done.stdout) == (0, "alive\n")


@pytest.mark.parametrize("before", [[], ["0.1"]])
def test_a_call_that_does_not_return_ends_the_process_and_says_where(before: list[str]) -> None:
    done = _run(*before, "20")
    assert done.returncode == ExitCode.INTERNAL
    assert "watchdog.call_stuck" in done.stderr
    assert "something was done" in done.stderr
    assert "time.sleep" in done.stderr or "File" in done.stderr
    assert done.stdout == ""
