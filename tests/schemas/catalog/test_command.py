"""`sluice schemas docs` as people and scripts call it."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from cli.schemas.docs import docs
from core.errors import ConfigError, UsageError
from tests.schemas.catalog.contracts import event, field, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "contracts", {"order": [event("Order", field("id"))], "visit": [event("Visit")]})


def run(*arguments: object) -> Result:
    return CliRunner().invoke(docs, [str(each) for each in arguments], catch_exceptions=False, standalone_mode=False)


def test_it_says_what_it_wrote(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    lines = run("--folder", folder, "--out", out).output.splitlines()
    assert f"written  {out}/events/order.html" in lines
    assert lines[-1] == f"7 written; it begins at {out}/index.html"
    assert run("--folder", folder, "--out", out).output == f"7 unchanged; it begins at {out}/index.html\n"


def test_json_names_each_file(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "out"
    run("--folder", folder, "--out", out)
    (folder / "avro/visit/1.avsc").unlink()
    (folder / "avro/visit").rmdir()
    (folder / "lock.json").unlink()
    answer = json.loads(run("--folder", folder, "--out", out, "--drafts", "--json").output)
    assert answer["index"] == str(out / "index.html")
    assert answer["removed"] == ["events/visit.html"]
    assert "index.html" in answer["written"]
    assert "assets/catalog.css" in answer["unchanged"]


def test_the_folder_may_come_from_the_environment(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLUICE_SCHEMAS_DIR", str(folder))
    run("--out", tmp_path / "out")
    assert (tmp_path / "out/events/visit.html").is_file()


def test_it_shows_the_page_when_asked(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    run("--folder", folder, "--out", tmp_path / "out", "--open")
    assert opened == [(tmp_path / "out/index.html").resolve().as_uri()]


def test_it_refuses_what_it_must_not_touch(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UsageError):
        run("--folder", folder, "--out", folder)
    with pytest.raises(ConfigError):
        run("--folder", tmp_path, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()
