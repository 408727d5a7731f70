"""Failpoints: armed by name, acting at the n-th time, and nothing otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from core import failpoints
from core.errors import ConfigError
from core.failpoints import Failpoint

_PROGRAM = """
import sys
from pathlib import Path
from core import failpoints
failpoints.arm(sys.argv[1], state_dir=Path(sys.argv[2]))
for turn in range(5):
    print(turn, flush=True)
    failpoints.hit("sink.after_plan")
    failpoints.hit("sink.after_insert")
"""


def run(spec: str, state: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, spec, str(state)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout.split()


@pytest.mark.parametrize(("spec", "turns"), [("sink.after_insert:kill", 1), ("sink.after_insert:kill@3", 3)])
def test_a_process_is_killed_at_the_nth_time(spec: str, turns: int, tmp_path: Path) -> None:
    assert run(spec, tmp_path) == (-signal.SIGKILL, [str(turn) for turn in range(turns)])


def test_of_several_the_first_that_is_due_acts(tmp_path: Path) -> None:
    code, turns = run("sink.after_plan:kill@4, sink.after_insert:kill@2", tmp_path)
    assert (code, len(turns)) == (-signal.SIGKILL, 2)


@pytest.mark.parametrize("spec", ["", "sink.after_verify:kill", "sink.after_insert:kill@6"])
def test_what_is_not_armed_or_not_reached_does_nothing(spec: str, tmp_path: Path) -> None:
    assert run(spec, tmp_path) == (0, ["0", "1", "2", "3", "4"])


def test_a_place_acts_once_per_state_folder_or_as_often_as_told(tmp_path: Path) -> None:
    killed = (-signal.SIGKILL, ["0", "1"])
    finished = (0, ["0", "1", "2", "3", "4"])
    assert [run("sink.after_insert:kill@2", tmp_path / "a") for _ in range(3)] == [killed, finished, finished]
    assert [run("sink.after_insert:kill@2*2", tmp_path / "b") for _ in range(3)] == [killed, killed, finished]


def test_stop_freezes_until_continued(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", _PROGRAM, "sink.after_insert:stop@2", str(tmp_path)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        process.send_signal(signal.SIGCONT)
        out, _ = process.communicate(timeout=10)
        assert out.split() == [b"0", b"1", b"2", b"3", b"4"]
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    "spec",
    [
        "sink.after_inser:kill",
        "sink.after_insert",
        "sink.after_insert:",
        "sink.after_insert:explode",
        "sink.after_insert:kill@0",
        "sink.after_insert:kill*0",
        "sink.after_insert:kill*",
        "sink.after_insert:kill@-1",
        "sink.after_insert:kill@two",
        "sink.after_insert:kill@²",
        ":kill",
    ],
)
def test_a_malformed_spec_is_refused(spec: str) -> None:
    with pytest.raises(ConfigError, match="SLUICE_FAILPOINT"):
        failpoints.arm(spec, state_dir=Path())


def test_arming_replaces_what_was_armed() -> None:
    failpoints.arm("sink.after_plan:kill", state_dir=Path())
    failpoints.arm("sink.after_insert:stop", state_dir=Path())
    assert list(failpoints._armed) == ["sink.after_insert"]
    failpoints.arm("", state_dir=Path())
    failpoints.hit("sink.after_insert")


def test_every_failpoint_can_be_armed() -> None:
    for name in get_args(Failpoint):
        failpoints.arm(f"{name}:kill@2", state_dir=Path())
        assert list(failpoints._armed) == [name]
