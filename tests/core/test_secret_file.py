"""A generated secret in a file."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core import secret_file
from core.errors import StateError


def test_it_is_drawn_once(tmp_path: Path) -> None:
    path = tmp_path / "state" / ".secret"
    first = secret_file.keep(path)
    assert len(first) >= 32
    assert secret_file.keep(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [".secret"]
    assert secret_file.keep(tmp_path / "other") != first


def test_whoever_starts_at_once_gets_the_same(tmp_path: Path) -> None:
    path = tmp_path / ".secret"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: secret_file.keep(path), range(64)))
    assert len(set(found)) == 1


def test_an_empty_file_is_not_a_secret(tmp_path: Path) -> None:
    path = tmp_path / ".secret"
    path.touch()
    with pytest.raises(StateError, match="is empty"):
        secret_file.keep(path)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be used"):
        secret_file.keep(tmp_path / "file" / ".secret")
