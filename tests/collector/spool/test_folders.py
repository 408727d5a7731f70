"""One folder a process: made, locked, adopted and removed, with other processes about."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.spool.folders import Folders, HeldFolder
from core.errors import StateError
from tests.structure.imports import ROOT

_HOLD = """
import sys
from pathlib import Path
from collector.spool.folders import Folders

held = Folders(Path(sys.argv[1])).create(now_ms=int(sys.argv[2]))
(held.path / "something").touch()
print(held.path.name, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(tmp_path / "spool")


@pytest.fixture
def other(folders: Folders) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds a folder, and that folder's name."""
    process = subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(folders.root), "5"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def names(held: list[HeldFolder]) -> list[str]:
    return [folder.path.name for folder in held]


def test_a_folder_of_ones_own(folders: Folders) -> None:
    held = folders.create(now_ms=1_700_000_000_000)
    assert held.path.is_dir()
    assert held.path.stat().st_mode & 0o077 == 0
    assert [(listed.path, listed.pid) for listed in folders.listed()] == [(held.path, os.getpid())]
    assert folders.adopt() == []
    assert folders.hold(held.path) is None
    held.release(remove=True)
    assert folders.listed() == []


def test_what_lies_in_a_folder_keeps_it(folders: Folders) -> None:
    held = folders.create(now_ms=1)
    (held.path / "0000.v1.spool").touch()
    held.release(remove=True)
    assert [listed.pid for listed in folders.listed()] == [0]
    [adopted] = folders.adopt()
    assert adopted.path == held.path
    adopted.release()


def test_the_living_are_left_alone_and_the_dead_are_adopted(
    folders: Folders, other: tuple[subprocess.Popen[str], str]
) -> None:
    process, name = other
    assert [(listed.path.name, listed.pid) for listed in folders.listed()] == [(name, process.pid)]
    assert folders.adopt() == []
    process.kill()
    process.wait()
    adopted = folders.adopt()
    assert names(adopted) == [name]
    assert folders.adopt() == []
    for folder in adopted:
        folder.release()


def test_the_oldest_is_adopted_first(folders: Folders) -> None:
    made = [folders.create(now_ms=at) for at in (1_000, 20, 1_700_000_000_000)]
    for folder in made:
        folder.release()
    adopted = folders.adopt()
    assert names(adopted) == names([made[1], made[0], made[2]])
    for folder in adopted:
        folder.release()


def test_a_folder_that_went_away_is_not_adopted(folders: Folders) -> None:
    """Somebody drained and removed it between the look and the lock."""
    held = folders.create(now_ms=1)
    path = held.path
    held.release(remove=True)
    assert folders.hold(path) is None
    path.mkdir()
    again = folders.hold(path)
    assert again is not None
    (path / "lock").unlink()  # what is locked now is a file that is no longer there
    second = folders.hold(path)
    assert second is not None
    second.release()
    again.release()


def test_half_made_folders_are_nobodys(folders: Folders) -> None:
    (folders.root / ".new-0000000000001-1-abc").mkdir(parents=True)
    (folders.root / "notes.txt").touch()
    assert folders.adopt() == []
    assert folders.listed() == []


def test_a_root_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot use") as caught:
        Folders(tmp_path / "file" / "spool").create(now_ms=1)
    assert "SLUICE_SPOOL_DIR" in caught.value.hint
    assert Folders(tmp_path / "none").adopt() == []
