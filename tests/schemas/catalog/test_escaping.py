"""Whatever stands in a schema is text on the page, and never markup."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.catalog import build
from schemas.catalog.markup import anchor, pretty, prose
from schemas.catalog.site import search_index
from schemas.catalog.subjects import read as read_catalog
from tests.schemas.catalog.contracts import context, event, field, registry
from tests.schemas.catalog.pages import Page, dead_links, read

HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "]]></style></title></textarea>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "`<b>`",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;script&gt;&amp;",
    "\u2028\u2029\0\ud800",
]
TEXT = st.sampled_from(HOSTILE) | st.text(max_size=30) | st.text("<>\"'&/`= script", max_size=20)


def contracts(text: str, key: str) -> dict[str, list[dict[str, Any]]]:
    """`text` in every place that holds text."""
    about: dict[str, Any] = {
        **dict.fromkeys(("doc", "owner", "fires", "purpose", "since", "sunset", "deprecatedBy"), text),
        "status": "deprecated",
        "metrics": [text],
        "examples": [{key: text, "note": [text]}],
    }
    column = field("note", ["null", "string"], **dict.fromkeys(("doc", "unit", "pii"), text))
    column |= {"default": None, "examples": [text], "allowed": [text]}
    first = event("Note", column, **about)
    second = event("Note", column | {"doc": f"{text}!", "examples": []}, **about)
    holder = context("Holder", field("note", "string", default=text, doc=text), **about)
    return {"note": [first, second], "holder_context": [holder]}


def markup(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    """The elements of a page and the names of their attributes, but for the spans of examples."""
    return [(e.tag, tuple(sorted(e.attributes))) for e in page.elements if e.tag not in {"span", "code"}]


@pytest.fixture(scope="module")
def tame(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    site = build(registry(tmp_path_factory.mktemp("tame"), contracts("tame", "key")))
    return {path: markup(read(text)) for path, text in site.items() if path.endswith(".html")}


@settings(max_examples=30)
@given(text=TEXT.filter(bool), key=TEXT)
@example(text="".join(HOSTILE), key="</script>")
def test_text_of_a_schema_cannot_add_elements(
    tame: dict[str, list[tuple[str, tuple[str, ...]]]], tmp_path_factory: pytest.TempPathFactory, text: str, key: str
) -> None:
    # `json.dumps` writes halves of pairs as escapes, so they come through a file as they may in reality.
    site = build(registry(tmp_path_factory.mktemp("wild"), contracts(text, key)))
    pages = {path: read(page) for path, page in site.items() if path.endswith(".html")}
    assert {path: markup(page) for path, page in pages.items()} == tame
    assert [fault for page in pages.values() for fault in page.faults] == []
    assert dead_links(site) == []
    for page in site.values():
        page.encode()  # what cannot be written is gone


def test_the_search_index_is_data_whatever_it_holds(tmp_path: Path) -> None:
    found = registry(tmp_path, contracts("".join(HOSTILE[:-1]), "key"))
    script = read(build(found)["index.html"]).by_id("search-index")
    assert "<" not in script.text
    assert json.loads(script.text) == search_index(read_catalog(found))


def test_a_subject_may_have_any_name_that_a_folder_can_have(tmp_path: Path) -> None:
    names = ["a b", "50%", "x#y?z", '"quoted"', "<b>", "ümlaut", "index"]
    subjects = {name: [event("Note", namespace=f"n{i}")] for i, name in enumerate(names)}
    site = build(registry(tmp_path, subjects, released=False))  # none that is released has such a name
    assert {f"events/{name}.html" for name in names} <= site.keys()
    assert dead_links(site) == []
    assert all(read(page).faults == [] for path, page in site.items() if path.endswith(".html"))


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_anchors_differ_where_names_do(names: list[str]) -> None:
    anchors = [anchor("field", name) for name in names if "[]" not in name and "{}" not in name]
    assert len(set(anchors)) == len(anchors)
    assert not any(set(each) & set(" \"'<>&#%") for each in anchors)


@given(st.recursive(TEXT | st.integers() | st.none(), lambda x: st.lists(x) | st.dictionaries(TEXT, x), max_leaves=6))
def test_highlighted_json_is_the_json(value: Any) -> None:
    assert json.loads(read(f"<html><pre>{pretty(value)}</pre></html>").text) == value


def test_backticks_mark_names_only_in_pairs() -> None:
    assert prose("use `a` and `<b>`") == "use <code>a</code> and <code>&lt;b&gt;</code>"
    assert prose("a ` b <i>") == "a ` b &lt;i&gt;"
