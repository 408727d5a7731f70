from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import ConfigError, DiskFullError, SluiceError, StateError, StateLockedError, UnavailableError
from infra import pids
from infra.process import Child, describe_exit
from tests.infra.children import eventually, python_spec

PARENT = """
import os, sys, time
from pathlib import Path
from infra.process import Child, ChildSpec
spec = ChildSpec(name="grandchild", argv=(sys.executable, "-c", "import time; time.sleep(60)"), env=dict(os.environ),
                 log_path=Path(sys.argv[1]), ready=lambda: True)
child = Child(spec)
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""


def test_a_child_that_announces_itself(tmp_path: Path) -> None:
    child = Child(python_spec(tmp_path, "time.sleep(0.1); ready(); print('hello', flush=True); time.sleep(60)"))
    child.start()
    assert not child.is_ready()
    child.wait_ready()
    assert child.poll() is None
    assert child.reason() == ""
    assert child.pid is not None
    # A session of its own: a terminal's Ctrl-C does not reach it.
    assert os.getsid(child.pid) == child.pid != os.getsid(0)
    child.stop()
    assert child.reason() == "killed by SIGTERM"
    assert (tmp_path / "child.log").read_text() == "hello\n"
    child.stop()


def test_a_child_that_is_probed(tmp_path: Path) -> None:
    flag = tmp_path / "serves"
    code = f"time.sleep(0.2); open({str(flag)!r}, 'w'); time.sleep(60)"
    child = Child(python_spec(tmp_path, code, ready=flag.exists))
    child.start()
    child.wait_ready()
    assert flag.exists()
    child.stop()


def test_the_environment_is_what_the_spec_says(tmp_path: Path) -> None:
    child = Child(python_spec(tmp_path, "print(sorted(os.environ)); ready()", env={"ONLY": "this"}))
    child.start()
    assert eventually(lambda: child.poll() is not None)
    seen = (tmp_path / "child.log").read_text()
    assert "ONLY" in seen
    assert "NOTIFY_SOCKET" in seen
    assert "PATH" not in seen


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        ("sys.exit(78)", ConfigError, r"exit code 78 \(CONFIG\)"),
        ("sys.exit(75)", StateLockedError, r"75 \(LOCKED\)"),
        ("sys.exit(74)", DiskFullError, r"74 \(DISK_FULL\)"),
        ("sys.exit(73)", StateError, r"73 \(STATE\)"),
        ("os.kill(os.getpid(), 9)", UnavailableError, "killed by SIGKILL"),
        ("raise ValueError('no such thing')", UnavailableError, "exit code 1, after: ValueError: no such thing"),
        ("print('Bye.'); sys.exit(3)", UnavailableError, "exit code 3, after: Bye."),
        ("sys.exit(0)", UnavailableError, "exit code 0$"),
    ],
)
def test_a_child_that_ends_before_it_is_ready_says_why_at_once(
    tmp_path: Path, code: str, error: type[SluiceError], words: str
) -> None:
    child = Child(python_spec(tmp_path, code, ready_timeout_s=30.0))
    child.start()
    began = time.monotonic()
    with pytest.raises(error, match=words) as caught:
        child.wait_ready()
    assert type(caught.value) is error
    assert time.monotonic() - began < 10
    assert str(tmp_path / "child.log") in caught.value.hint


def test_a_child_that_is_never_ready_is_given_up_and_stopped(tmp_path: Path) -> None:
    child = Child(python_spec(tmp_path, "print('still loading', flush=True); time.sleep(60)", ready_timeout_s=0.5))
    child.start()
    with pytest.raises(UnavailableError, match=r"not ready within 0.5 s") as caught:
        child.wait_ready()
    assert "still loading" in caught.value.hint
    assert child.poll() is not None


def test_a_command_that_does_not_exist(tmp_path: Path) -> None:
    child = Child(python_spec(tmp_path, ""))
    child = Child(type(child.spec)(name="x", argv=("/no/such/program",), env={}, log_path=tmp_path / "x.log"))
    child.start()
    with pytest.raises(UnavailableError, match="/no/such/program cannot be run: No such file"):
        child.wait_ready()


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    child = Child(python_spec(tmp_path, "", log_path=tmp_path / "file" / "x.log"))
    with pytest.raises(StateError, match="cannot be started"):
        child.start()


def test_a_child_that_ignores_the_request_is_killed_after_its_grace(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(60)"
    child = Child(python_spec(tmp_path, code, stop_grace_s=0.3))
    child.start()
    child.wait_ready()
    child.stop()
    assert child.reason() == "killed by SIGKILL"


def test_a_frozen_child_can_be_stopped_gracefully(tmp_path: Path) -> None:
    code = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); ready(); time.sleep(60)"
    child = Child(python_spec(tmp_path, code))
    child.start()
    child.wait_ready()
    child.send(signal.SIGSTOP)
    child.stop()
    assert child.reason() == "exit code 0"


def test_a_restart_is_not_ready_by_its_predecessors_word_and_reads_its_own_log(tmp_path: Path) -> None:
    flag = tmp_path / "second"
    code = f"""
    if os.path.exists({str(flag)!r}): sys.exit(3)
    ready(); print('ERROR of the first', flush=True); time.sleep(60)
    """
    child = Child(python_spec(tmp_path, code))
    child.start()
    child.wait_ready()
    child.stop()
    flag.touch()
    child.start()
    assert not child.is_ready()
    with pytest.raises(UnavailableError, match=r"exit code 3$"):
        child.wait_ready()


def test_a_killed_parent_takes_its_child_along(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    assert parent.stdout is not None
    grandchild = int(parent.stdout.readline())
    # Earlier, it would end because it notices by itself that its parent is gone.
    assert eventually(lambda: pids.alive(grandchild) and "exec_child" not in pids.command(grandchild))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert eventually(lambda: not pids.alive(grandchild), within_s=5)


def test_a_child_whose_parent_died_before_it_could_ask_does_not_run(tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    script = Path("infra/exec_child.py").absolute()
    argv = [sys.executable, str(script), "1", sys.executable, "-c", f"open({str(flag)!r}, 'w')"]
    assert subprocess.run(argv, check=False).returncode == 15
    assert not flag.exists()
    argv[2] = str(os.getpid())
    assert subprocess.run(argv, check=False).returncode == 0
    assert flag.exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exit code 0"), (-9, "killed by SIGKILL"), (143, "killed by SIGTERM"), (2, "exit code 2"),
        (130, "killed by SIGINT"), (1, "exit code 1"), (255, "exit code 255"), (70, "exit code 70 (INTERNAL)"),
    ],
)  # fmt: skip
def test_exits_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words
