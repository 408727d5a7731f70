"""Where the site is written: only what is ours changes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.errors import StateError, UsageError
from schemas.catalog import write
from schemas.catalog.folder import MARKER

SITE = {"index.html": "index", "events/a.html": "a"}


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_new_folder_holds_the_site(tmp_path: Path) -> None:
    out = tmp_path / "deep/catalog"
    done = write(out, SITE)
    assert done.written == ("events/a.html", "index.html")
    assert files(out).keys() == {*SITE, MARKER}
    assert files(out).items() >= SITE.items()


def test_what_is_as_it_was_is_not_written_again(tmp_path: Path) -> None:
    write(tmp_path / "out", SITE)
    before = (tmp_path / "out/index.html").stat().st_mtime_ns
    done = write(tmp_path / "out", SITE | {"events/a.html": "b"})
    assert (done.written, done.unchanged, done.removed) == (("events/a.html",), ("index.html",), ())
    assert (tmp_path / "out/index.html").stat().st_mtime_ns == before


def test_pages_that_are_gone_are_removed_and_no_others(tmp_path: Path) -> None:
    write(tmp_path / "out", SITE)
    (tmp_path / "out/CNAME").write_text("catalog.example")
    done = write(tmp_path / "out", {"index.html": "index"})
    assert done.removed == ("events/a.html",)
    assert files(tmp_path / "out").keys() == {"index.html", MARKER, "CNAME"}
    assert not (tmp_path / "out/events").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not empty"):
        write(tmp_path, SITE)
    assert files(tmp_path).keys() == {"thesis.tex"}
    write(tmp_path, SITE, force=True)
    assert files(tmp_path).keys() == {"thesis.tex", MARKER, *SITE}
    write(tmp_path, {"index.html": "index"})
    assert files(tmp_path).keys() == {"thesis.tex", MARKER, "index.html"}


def test_a_damaged_marker_makes_it_a_folder_of_something_else(tmp_path: Path) -> None:
    write(tmp_path / "out", SITE)
    (tmp_path / "out" / MARKER).write_text("{")
    with pytest.raises(UsageError):
        write(tmp_path / "out", SITE)


@pytest.mark.parametrize("path", ["../precious", "/etc/hostname", "events/../../precious", ""])
def test_a_marker_leads_nowhere_else(tmp_path: Path, path: str) -> None:
    (tmp_path / "precious").write_text("mine")
    write(tmp_path / "out", SITE)
    (tmp_path / "out" / MARKER).write_text(json.dumps({"files": [path, *SITE]}))
    assert write(tmp_path / "out", SITE).removed == ()
    assert (tmp_path / "precious").read_text() == "mine"


def test_a_run_that_ended_early_is_finished_by_the_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, SITE)
    # The marker is written first, so it may name what never came to be.
    (out / MARKER).write_text(json.dumps({"files": [*SITE, "events/never.html"]}))
    assert write(out, {"index.html": "new"}).removed == ("events/a.html",)
    assert files(out).keys() == {"index.html", MARKER}


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="cannot be written"):
        write(tmp_path / "file", SITE)
