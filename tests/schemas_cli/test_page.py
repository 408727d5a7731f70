"""The page on contracts: its commands print what it says, its links and names lead somewhere."""

from __future__ import annotations

from pathlib import Path

from schemas.registry import BUNDLED
from tests.schemas_cli.walk import outputs, steps, without_days
from tests.structure.imports import ROOT
from tests.structure.test_documents import broken_links, missing_names

PAGE = BUNDLED / "README.md"


def test_the_commands_of_the_page_print_what_it_shows(tmp_path: Path) -> None:
    walk = list(steps(PAGE.read_text(encoding="utf-8")))
    printed = outputs(walk, tmp_path)
    assert len(walk) > 15
    shown = [(step.command, without_days(step.text)) for step in walk if not step.file]
    found = [(s.command, without_days(out)) for s, out in zip(walk, printed, strict=True) if not s.file]
    assert found == shown, "`python -m tests.schemas_cli.walk schemas/README.md` writes what is printed now"


def test_links_and_names_of_the_page_lead_somewhere() -> None:
    assert broken_links(PAGE) == []
    assert missing_names(PAGE.read_text(encoding="utf-8")) == []
    assert "(schemas/README.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
