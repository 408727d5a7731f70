from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.errors import DiskFullError, StateError, StateLockedError
from infra import state
from tests.infra.children import eventually

HOLD = """
import sys, time
from pathlib import Path
from infra import state
with state.exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return state.open_folder(tmp_path / "state")


@pytest.fixture
def holder(folder: Path):
    child = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_new_folder_is_private_and_carries_its_format(tmp_path: Path) -> None:
    folder = state.open_folder(tmp_path / "a" / "b")
    assert (folder / "version").read_text() == "format=1\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert state.open_folder(folder) == folder


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format=2", "newer"),
        ("format=0", "older"),
        ("", "says ''"),
        ("format=1.5", "says"),
        ("version=1", "says"),
        ("format=-1", "says"),
    ],
)
def test_another_version_is_refused_with_what_to_do(folder: Path, text: str, says: str) -> None:
    (folder / "version").write_text(text)
    with pytest.raises(StateError, match=says) as caught:
        state.open_folder(folder)
    assert "SLUICE_STATE_DIR" in caught.value.hint


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StateError, match="not a state folder"):
        state.open_folder(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_creation_killed_before_the_version_was_written_is_completed(tmp_path: Path) -> None:
    (tmp_path / ".version.4711.tmp").write_text("form")
    (tmp_path / "lock").write_text("4711\n")
    state.open_folder(tmp_path)
    assert (tmp_path / "version").read_text() == "format=1\n"


def test_a_file_in_the_folders_place(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError, match="cannot be used"):
        state.open_folder(tmp_path / "state")


def test_a_live_holder_is_named(folder: Path, holder: subprocess.Popen[str]) -> None:
    with pytest.raises(StateLockedError, match=f"pid {holder.pid} "), state.exclusive(folder):
        pass


def test_the_lock_of_a_killed_holder_is_taken_over(folder: Path, holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.wait()
    assert (folder / "lock").read_text() == f"{holder.pid}\n"
    with state.exclusive(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"


def test_the_lock_excludes_within_a_process_and_ends_with_its_block(folder: Path) -> None:
    with state.exclusive(folder), pytest.raises(StateLockedError), state.exclusive(folder):
        pass
    with state.exclusive(folder):
        pass


def test_a_child_process_does_not_inherit_the_lock(folder: Path) -> None:
    with state.exclusive(folder):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)

    def free() -> bool:
        try:
            with state.exclusive(folder):
                return True
        except StateLockedError:
            return False  # for microseconds: the kernel lets the parent go on before it closes the child's files

    try:
        assert eventually(free, within_s=2)
    finally:
        child.communicate(b"\n")


def test_too_little_space_is_said_before_the_work(folder: Path) -> None:
    state.require_space(folder, mib=1)
    with pytest.raises(DiskFullError, match="1000000000 MiB are needed for Kafka"):
        state.require_space(folder, mib=10**9, purpose="Kafka")
