"""`sluice reset`: only a state folder, only while nothing runs, only when asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cli.up.reset import reset
from core.errors import StateError, StateLockedError
from infra.state import exclusive, open_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = open_folder(tmp_path / "state")
    (folder / "kafka" / "data").mkdir(parents=True)
    (folder / "kafka" / "data" / "log").write_bytes(b"x" * 5000)
    (folder / "identity.json").write_text("{}")
    monkeypatch.setenv("SLUICE_STATE_DIR", str(folder))
    return folder


def run(*argv: str, answer: str = "") -> Result:
    return CliRunner().invoke(reset, argv, input=answer, catch_exceptions=False)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_it_asks_and_no_is_no(folder: Path) -> None:
    result = run(answer="n\n")
    assert str(folder) in result.output
    assert "nothing was deleted" in result.output
    assert {"kafka", "identity.json", "version"} <= names(folder)


def test_yes_empties_it_and_it_can_be_used_again(folder: Path) -> None:
    assert run(answer="y\n").exit_code == 0
    assert names(folder) == {"lock"}
    open_folder(folder)


def test_without_asking(folder: Path) -> None:
    assert run("--yes").exit_code == 0
    assert names(folder) == {"lock"}


def test_it_refuses_while_the_folder_is_in_use(folder: Path) -> None:
    with exclusive(folder), pytest.raises(StateLockedError):
        run("--yes")
    assert {"kafka", "identity.json"} <= names(folder)


def test_only_a_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "version").write_text("3.1\n")
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path))
    with pytest.raises(StateError):
        run("--yes")
    assert names(tmp_path) == {"thesis.tex", "version"}


def test_a_folder_of_an_older_version_may_be_emptied(folder: Path) -> None:
    (folder / "version").write_text("format=0\n")
    with pytest.raises(StateError):
        open_folder(folder)
    assert run("--yes").exit_code == 0
    open_folder(folder)


def test_what_a_link_points_to_stays(folder: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    (folder / "linked").symlink_to(outside)
    run("--yes")
    assert (outside / "file").exists()


def test_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLUICE_STATE_DIR", str(tmp_path / "none"))
    assert "nothing to reset" in run("--yes").output
    assert not (tmp_path / "none").exists()
