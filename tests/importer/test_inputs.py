"""Names and patterns become files."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.importer.inputs import expand, refuse_overlaps, sources
from core.errors import InputError, UsageError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b.log", "a.log", "a.log.1", "[odd].log", "deep/c.log", "deep/er/d.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_patterns_are_replaced_in_order_of_name(folder: Path) -> None:
    assert expand(["?.log", "-", "deep/**/*.log"]) == ["a.log", "b.log", "-", "deep/c.log", "deep/er/d.log"]
    assert expand([str(folder / "a*")]) == [str(folder / "a.log"), str(folder / "a.log.1")]
    assert expand(["de*/*"]) == ["deep/c.log"]  # a pattern is about files


def test_what_is_a_file_is_no_pattern(folder: Path) -> None:
    assert expand(["[odd].log", "missing.log"]) == ["[odd].log", "missing.log"]


def test_a_pattern_without_files(folder: Path) -> None:
    for pattern in ("*.gz", "nowhere/*", "de*"):
        with pytest.raises(InputError, match="no file matches"):
            expand([pattern])


def test_a_directory_is_refused_with_what_to_do(folder: Path) -> None:
    with pytest.raises(InputError, match="deep is a directory") as caught:
        expand(["a.log", "deep"])
    assert "deep/*.log*" in caught.value.hint


def test_a_pattern_may_not_name_a_file_again(folder: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        refuse_overlaps(expand(["a.log", "*.log"]), rejects=Path("r"))


def test_sources() -> None:
    assert sources(["x/a.log.1", "b.log", "x/a.log"], source="") == ["a.log", "b.log"]
    assert sources(["a.log.1", "-"], source="s") == ["s"]
