"""The documents beside the code: what they link to, name and quote is there. Whether it is well said, people judge."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from cli.demo.comparison import QUESTIONS, Question
from cli.demo.recount import Recount, recount
from tests.structure.imports import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
_IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_FOLDERS = (
    *("core", "schemas", "collector", "streams", "sinks", "infra", "cli", "replay", "analytics", "sdk"),
    *("tests", "docs", "scripts", "bench", ".ci"),
)
# `streams/engine.py`, `tests/sinks`, `core/errors.py::ExitCode`; not `pages_daily` nor `application/json`.
_NAMED = re.compile(rf"(?P<path>(?:{'|'.join(map(re.escape, _FOLDERS))})/[\w./-]*)(?:::(?P<symbol>[\w.]+))?")
# Written on the page to stand for a name of the reader's.
_PLACEHOLDER = re.compile(r"NAME|NNNN")
_LOG = ROOT / "cli/demo/data/access.log.gz"
_SHOWN_ROWS = 5  # of each answer, as the demo prints them


def prose(text: str) -> str:
    return _FENCE.sub("", text)


def broken_links(document: Path) -> list[str]:
    """Relative links of `document` that lead nowhere, also to a heading that is not there."""
    found = []
    for target in _LINK.findall(prose(document.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, heading = target.partition("#")
        path = document.parent / name if name else document
        if not path.exists() or (heading and heading not in headings(path)):
            found.append(target)
    return found


def headings(document: Path) -> set[str]:
    """Anchors of a document's headings, as common renderers make them."""
    lines = re.findall(r"^#+ (.+)$", prose(document.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


def missing_names(text: str) -> list[str]:
    """Files, classes, functions and tests named in backticks that are not there."""
    found = []
    for span in _SPAN.findall(prose(text)):
        named = _NAMED.fullmatch(span)
        if named is None or _PLACEHOLDER.search(span):
            continue
        path = ROOT / named["path"]
        if not path.exists() or (named["symbol"] and named["symbol"] not in symbols(path)):
            found.append(span)
    return found


@cache
def symbols(path: Path) -> frozenset[str]:
    return frozenset(_defined(ast.parse(path.read_text(encoding="utf-8")), ""))


def _defined(node: ast.AST, prefix: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name):
                yield prefix + name
                yield from _defined(child, f"{prefix}{name}.")
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield prefix + name
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield prefix + name


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_links_lead_somewhere(document: Path) -> None:
    assert broken_links(document) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=_IDS)
def test_what_is_named_is_there(document: Path) -> None:
    assert missing_names(document.read_text(encoding="utf-8")) == []


def test_every_document_is_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    todo = [ROOT / "README.md"]
    while todo:
        document = todo.pop().resolve()
        if document in seen or document.suffix != ".md" or not document.is_file():
            continue
        seen.add(document)
        links = _LINK.findall(prose(document.read_text(encoding="utf-8")))
        todo += [document.parent / link.partition("#")[0] for link in links if not re.match(r"[a-z]+:", link)]
    assert {path.resolve() for path in DOCUMENTS} <= seen


def test_reference_pages_are_what_the_code_says() -> None:
    # In a process of its own: a command keeps the help option of the first context that a test made for it.
    command = [sys.executable, "-m", "cli.docs", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# -- the numbers of the demo


@pytest.fixture(scope="module")
def counted() -> Recount:
    return recount(_LOG)


@pytest.fixture(scope="module")
def quoted() -> str:
    """The output of the demo as the README quotes it."""
    fences = _FENCE.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    found: list[str] = [fence for fence in fences if "lines of a public access log in" in fence]
    assert len(found) == 1
    return found[0]


def test_the_readme_quotes_the_account_of_the_demo(quoted: str, counted: Recount) -> None:
    for number, words in [
        (counted.lines, "lines of a public access log"),
        (counted.events, "accepted by the collector"),
        (counted.malformed, "rejected"),
        (counted.events, f"rows added to ClickHouse ({counted.events:,} there now)"),
    ]:
        assert re.search(rf"^ *{number:,} {re.escape(words)}", quoted, re.MULTILINE), (number, words)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.title)
def test_the_readme_quotes_the_answers_of_the_demo(quoted: str, counted: Recount, question: Question) -> None:
    _, _, rest = quoted.partition(f"\n{question.title}: equal")
    assert rest, "the README quotes no such answer"
    table = rest.partition("\n\n")[0]
    rows = re.findall(r"^ (.+?) +([\d,]+) +([\d,]+)$", table, re.MULTILINE)
    assert rows == [(label, f"{count:,}", f"{count:,}") for label, count in question.expected(counted)[:_SHOWN_ROWS]]


def test_the_readme_quotes_the_first_answer_of_sql(counted: Recount) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path, views in counted.top_pages[:_SHOWN_ROWS]:
        assert f'"{path}",{views}\n' in text
    for day, views in counted.page_views_by_day.items():
        assert f"\n{day} {views} {counted.visitors_by_day[day]}\n" in text


# -- the test of the test


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text(
        "# One thing\n[a](b.md) [c](a.md#one-thing) [d](#two) [e](https://x.example)\n```\n[f](g)\n```\n"
    )
    assert broken_links(document) == ["b.md", "#two"]


def test_a_missing_name_is_found() -> None:
    text = "`core/gone.py` `core/errors.py` `core/errors.py::Gone` `core/errors.py::ExitCode.OK` `no/path` `docs`"
    assert missing_names(text) == ["core/gone.py", "core/errors.py::Gone"]
